//! A guest on this terminal: raw mode, window size and resizes.

use std::io::{IsTerminal as _, Read, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use signal_hook::consts::SIGWINCH;

use crate::cast::Cast;
use crate::cleanup::RawTerminal;
use crate::console;
use crate::qemu::{Ending, Event, Guest, Machine};

/// Ctrl-]: ends the guest, also when it does not answer any more.
const ESCAPE: u8 = 0x1d;

/// How long a guest may stay on a terminal. Nobody watches one longer than this.
const LONGEST: Duration = Duration::from_hours(7 * 24);

/// Fails when there is no terminal to give to the guest.
pub(crate) fn required() -> Result<()> {
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        bail!(
            "this needs a terminal for input and output; to run a command without one: cargo xtask vm -- COMMAND"
        );
    }
    Ok(())
}

/// Runs `machine` with its command on this terminal, and records what that shows. Its console is joined to the socket at `console`.
pub(crate) fn run(mut machine: Machine, record: Option<&Path>, console: Option<&Path>) -> Result<ExitCode> {
    required()?;
    let mut other = console.map(connected).transpose()?;
    let (rows, columns) = window_size().unwrap_or((24, 80));
    machine.append.push(format!("hv.tty=1 hv.rows={rows} hv.cols={columns}"));
    for name in ["TERM", "COLORTERM", "NO_COLOR", "COLORFGBG", "LANG", "LC_ALL"] {
        // Words without a dot that the kernel does not know become init's environment.
        if let Some(value) =
            std::env::var(name).ok().filter(|v| !v.is_empty() && !v.contains(char::is_whitespace))
        {
            machine.append.push(format!("{name}={value}"));
        }
    }
    let mut cast = record.map(|path| Cast::begin(path, rows, columns)).transpose()?;
    let mut guest = Guest::start(&machine)?;
    let stop = Arc::new(AtomicBool::new(false));
    let raw = RawTerminal::enter()?;
    copy_input(guest.terminal()?, stop.clone());
    follow_size(guest.control()?)?;
    if let Some(other) = &other {
        let (mut from, to) = (other.try_clone().context("cannot copy the socket")?, guest.console()?);
        std::thread::spawn(move || copy(&mut from, to, |_| false));
    }
    let mut console = Vec::new();
    let end = Instant::now() + LONGEST;
    let ending = loop {
        match guest.next(Instant::now() + Duration::from_millis(200))? {
            Event::Output(bytes) => {
                if let Some(cast) = &mut cast {
                    cast.show(&bytes)?;
                }
                RawTerminal::show(&bytes)?;
            }
            Event::Console(line) => {
                if let Some(to) = &mut other {
                    to.write_all(format!("{line}\n").as_bytes()).context("nobody reads the console")?;
                }
                console.push(line);
            }
            Event::Ended(ending) => break ending,
            Event::Deadline if Instant::now() > end => break Ending::Broken("time-out".to_owned()),
            Event::Deadline => {}
        }
        if stop.load(Ordering::Relaxed) {
            break Ending::Exit(0);
        }
    };
    drop(guest);
    drop(raw);
    cast.map_or(Ok(()), Cast::end)?;
    if ending != Ending::Exit(0) {
        for line in console::tail(&console) {
            eprintln!("{line}");
        }
    }
    Ok(ending.report())
}

/// Rows and columns of this terminal.
fn window_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some((size.ws_row, size.ws_col))
}

fn connected(path: &Path) -> Result<UnixStream> {
    UnixStream::connect(path).with_context(|| format!("nobody listens at {}", path.display()))
}

/// Copies what is typed to the guest, on a thread of its own, which ends with the program.
fn copy_input(to: UnixStream, stop: Arc<AtomicBool>) {
    std::thread::spawn(move || {
        if copy(&mut std::io::stdin(), to, |typed| typed.contains(&ESCAPE)) {
            stop.store(true, Ordering::Relaxed);
        }
    });
}

/// Copies to the guest until there is no more, or `ends` with what came; false when the guest takes nothing any more.
fn copy(from: &mut impl Read, mut to: UnixStream, ends: impl Fn(&[u8]) -> bool) -> bool {
    let mut buffer = [0u8; 1024];
    while let Ok(n) = from.read(&mut buffer) {
        let mut rest = &buffer[..n];
        if n == 0 || ends(rest) {
            return true;
        }
        // The stream does not block; what is typed is little, and waits.
        while !rest.is_empty() {
            match to.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    std::thread::sleep(Duration::from_millis(5));
                }
                Err(_) => return false,
            }
        }
    }
    false
}

/// Tells the guest when the window's size changes.
fn follow_size(mut control: UnixStream) -> Result<()> {
    let mut signals =
        signal_hook::iterator::Signals::new([SIGWINCH]).context("cannot watch the window's size")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if let Some((rows, columns)) = window_size() {
                let _ = control.write_all(format!("{rows} {columns}\n").as_bytes());
            }
        }
    });
    Ok(())
}
