//! The real program on a real terminal, with a recording.

use std::{process::Command, time::Duration};

use hvsock_screen::Screen;
use rustix::process::Signal;

type Result = anyhow::Result<()>;

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/demo.hvrec");
const LIMIT: Duration = Duration::from_secs(30);

/// hvsock-top with those arguments, in an environment that nobody's own settings reach.
fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hvsock-top"));
    command.args(arguments).env_clear().env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command
}

/// The recording, played fast, on a terminal of 80 by 24, once its end is there.
fn start() -> anyhow::Result<Screen> {
    let screen = Screen::start(&mut command(&["replay", "--speed", "1000", RECORDING]), 24, 80)?;
    screen.wait("the end of the recording", LIMIT, |text| {
        text.contains("14 of 14") && text.contains("PAUSED")
    })?;
    anyhow::ensure!(screen.is_taken()?);
    Ok(screen)
}

#[test]
fn a_session() -> Result {
    let mut screen = start()?;
    screen.wait("the overview", LIMIT, |text| text.contains("Findings ─") && text.contains("Trends"))?;
    screen.press("2")?;
    screen.wait("the connections", LIMIT, |text| text.contains("OUT RING") && text.contains("slow[254]"))?;
    screen.press("/port:5021")?;
    let filtered = |text: &str| text.contains("slow[254]") && !text.contains("web[259]");
    screen.wait("the filter", LIMIT, filtered)?;
    screen.press(" nonsense:1")?;
    screen.wait("what is wrong with it", LIMIT, |text| text.contains("there is no field `nonsense`"))?;
    screen.press("\u{1b}")?;
    screen.wait("all of them", LIMIT, |text| text.contains("web[259]"))?;
    screen.press("\u{1b}[D")?;
    screen.wait("one step back", LIMIT, |text| text.contains("13 of 14"))?;
    screen.press("{")?;
    screen.wait("the beginning", LIMIT, |text| text.contains("1 of 14"))?;
    screen.press("}")?;
    screen.wait("the end", LIMIT, |text| text.contains("14 of 14"))?;
    screen.press("7")?;
    screen.wait("the findings", LIMIT, |text| text.contains("runbook: docs/findings/"))?;
    screen.resize(40, 132)?;
    screen.wait("a larger screen", LIMIT, |text| {
        text.lines().any(|line| line.chars().count() > 100) && text.contains("7 Findings")
    })?;
    screen.press("?")?;
    screen.wait("the help", LIMIT, |text| text.contains("next_view"))?;
    screen.press("?q")?;
    let status = screen.ended(LIMIT)?;
    anyhow::ensure!(status.code() == Some(0), "{status}");
    screen.is_given_back()
}

#[test]
fn signals_and_keys_give_the_terminal_back() -> Result {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let mut screen = start()?;
        screen.signal(signal)?;
        let status = screen.ended(LIMIT)?;
        anyhow::ensure!(status.code() == Some(0), "{signal:?}: {status}");
        screen.is_given_back()?;
    }
    let mut screen = start()?;
    screen.press("/port\u{3}")?;
    anyhow::ensure!(screen.ended(LIMIT)?.code() == Some(0), "Ctrl-C while a filter is written");
    screen.is_given_back()
}

/// What [`a_panic_gives_the_terminal_back_and_can_be_read`] runs, on the main thread.
#[test]
#[ignore = "takes the terminal and panics: run by another test"]
fn panics_on_its_screen() {
    let _screen = hvsock_top::tui::Screen::enter(true).unwrap();
    panic!("on purpose");
}

#[test]
fn a_panic_gives_the_terminal_back_and_can_be_read() -> Result {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--ignored", "--exact", "panics_on_its_screen", "--nocapture", "--test-threads=1"]);
    // Its lines would push what is looked for off the screen.
    command.env("RUST_BACKTRACE", "0");
    let mut screen = Screen::start(&mut command, 24, 120)?;
    let status = screen.ended(LIMIT)?;
    anyhow::ensure!(status.code() == Some(101), "{status}: {}", screen.text());
    screen.is_given_back()?;
    let text = screen.text();
    anyhow::ensure!(text.contains("panicked at") && text.contains("on purpose"), "{text}");
    Ok(())
}

#[test]
fn a_bad_configuration_is_said_and_the_rest_of_it_counts() -> Result {
    let folder = std::env::temp_dir().join(format!("hvsock-top-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("bad.toml");
    std::fs::write(&file, "view = \"probes\"\n[keys]\nquit = \"Q\"\nfly = \"f\"\n")?;
    let file = file.to_str().unwrap_or_default();
    let mut screen = Screen::start(&mut command(&["replay", "--config", file, RECORDING]), 24, 120)?;
    screen
        .wait("the complaint", LIMIT, |text| text.contains("line 4, column 1: there is no action `fly`"))?;
    screen.wait("the view asked for", LIMIT, |text| text.contains("BACKEND"))?;
    screen.press("qQ")?;
    anyhow::ensure!(screen.ended(LIMIT)?.code() == Some(0));
    std::fs::remove_dir_all(&folder)?;
    screen.is_given_back()
}

#[test]
fn a_damaged_recording_shows_what_is_whole_and_says_so() -> Result {
    let path = std::env::temp_dir().join(format!("hvsock-top-cut-{}.rec", std::process::id()));
    let whole = std::fs::read(RECORDING)?;
    std::fs::write(&path, &whole[..whole.len() - 2000])?;
    let name = path.to_str().unwrap_or_default();
    let screen = Screen::start(&mut command(&["replay", "--speed", "1000", name]), 24, 120)?;
    screen.wait("what is whole", LIMIT, |text| text.contains("13 of 13"))?;
    screen.wait("the damage", LIMIT, |text| text.contains("is cut off"))?;
    std::fs::remove_file(&path)?;
    Ok(())
}

#[test]
fn without_colours_none_are_sent() -> Result {
    let mut command = command(&["replay", "--speed", "1000", RECORDING]);
    command.env("NO_COLOR", "1");
    let screen = Screen::start(&mut command, 24, 80)?;
    screen.wait("the end of the recording", LIMIT, |text| text.contains("14 of 14"))?;
    anyhow::ensure!(screen.is_plain(), "there are colours");
    Ok(())
}
