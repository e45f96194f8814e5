//! Runs scenarios one after the other and says so in lines that `cargo xtask test` reads: `begin NAME`, details after
//! `| `, `pass NAME SECONDS` or `fail NAME SECONDS`, at last `done PASSED FAILED`.

use std::io::{Write as _, stdout};
use std::process::ExitCode;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::bed::Bed;
use crate::cases;
use crate::proof;

/// One scenario.
pub(crate) struct Scenario {
    /// What it is called: the name of its file.
    pub(crate) name: &'static str,
    /// What it shows, in one line.
    pub(crate) about: &'static str,
    /// CPUs of the machine it wants.
    pub(crate) smp: u32,
    /// Whether it wants a machine without the Hyper-V modules.
    pub(crate) nomod: bool,
    /// Whether it wants a machine with Debian's Prometheus.
    pub(crate) prometheus: bool,
    /// Longer than this and it hangs.
    pub(crate) timeout: Duration,
    /// What it does.
    pub(crate) run: fn() -> Result<()>,
}

impl Scenario {
    /// What most scenarios want: one CPU, the modules, a minute.
    pub(crate) const fn new(name: &'static str, about: &'static str, run: fn() -> Result<()>) -> Self {
        Self { name, about, smp: 1, nomod: false, prometheus: false, timeout: Duration::from_mins(1), run }
    }
}

/// Which scenarios to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Choice {
    /// This one (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Those that come after this one in the list
    #[arg(long, value_name = "NAME")]
    after: Option<String>,
    /// Those that want so many CPUs
    #[arg(long, value_name = "N")]
    smp: Option<u32>,
    /// Those that want (0) or do not want (1) the Hyper-V modules
    #[arg(long, value_name = "0|1", value_parser = clap::value_parser!(u8).range(0..=1))]
    nomod: Option<u8>,
    /// Say of every field of the Snapshot whether the scenario would fail if it were wrong
    #[arg(long)]
    fields: bool,
}

impl Choice {
    fn takes(&self, scenario: &Scenario) -> bool {
        (self.only.is_empty() || self.only.iter().any(|n| n == scenario.name))
            && self.smp.is_none_or(|n| n == scenario.smp)
            && self.nomod.is_none_or(|n| (n == 1) == scenario.nomod)
    }
}

/// Prints the scenarios.
pub(crate) fn list() {
    for s in cases::ALL {
        let (nomod, prometheus) = (u8::from(s.nomod), u8::from(s.prometheus));
        let timeout = s.timeout.as_secs();
        println!("{} smp={} nomod={nomod} prometheus={prometheus} timeout={timeout}", s.name, s.smp);
        eprintln!("    {}", s.about);
    }
}

/// Runs those chosen.
pub(crate) fn run(choice: &Choice) -> ExitCode {
    let first = match &choice.after {
        None => 0,
        Some(name) => cases::ALL.iter().position(|s| s.name == name).map_or(0, |i| i + 1),
    };
    let (mut passed, mut failed) = (0, 0);
    for scenario in cases::ALL[first..].iter().filter(|s| choice.takes(s)) {
        say(&format!("begin {}", scenario.name));
        let start = Instant::now();
        let result = attempt(scenario, choice.fields);
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(()) => {
                passed += 1;
                say(&format!("pass {} {seconds:.1}", scenario.name));
            }
            Err(error) => {
                failed += 1;
                details(&format!("{error:#}"));
                say(&format!("fail {} {seconds:.1}", scenario.name));
            }
        }
    }
    say(&format!("done {passed} {failed}"));
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One scenario between two looks at the bed. What went wrong first is what is told.
fn attempt(scenario: &'static Scenario, fields: bool) -> Result<()> {
    let bed = Bed::prepare(scenario)?;
    proof::begin(scenario.name, fields);
    let (sender, receiver) = sync_channel(1);
    let scenario_thread = thread::spawn(move || {
        sender.send((scenario.run)()).ok();
    });
    // With every field falsified at every check it takes its time.
    let limit = if fields { scenario.timeout * 20 } else { scenario.timeout };
    let result = match receiver.recv_timeout(limit) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => hang(scenario),
        Err(RecvTimeoutError::Disconnected) => Err(match scenario_thread.join() {
            Err(panic) => anyhow!("the scenario panicked: {}", message(&*panic)),
            Ok(()) => anyhow!("the scenario ended without a result"),
        }),
    };
    let result = match result {
        Ok(()) if fields => {
            for line in proof::found() {
                say(&line);
            }
            Ok(())
        }
        Ok(()) => proof::end(),
        failed => failed,
    };
    let end = bed.check();
    match (result, end) {
        (Ok(()), end) => end,
        (Err(error), Ok(())) => Err(error),
        (Err(error), Err(end)) => Err(anyhow!("{error:#}\nand afterwards {end:#}")),
    }
}

/// A thread that hangs cannot be stopped; the machine is of no use any more. Ending without `fail` says so to xtask,
/// which boots another for the rest.
#[expect(clippy::exit, reason = "the thread that hangs keeps its resources until the process ends")]
fn hang(scenario: &Scenario) -> ! {
    details(&format!("time-out: not done after {} s", scenario.timeout.as_secs()));
    std::process::exit(1)
}

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

fn details(text: &str) {
    for line in text.lines() {
        say(&format!("| {line}"));
    }
}

fn say(line: &str) {
    println!("{line}");
    // The machine may be gone in a moment.
    stdout().flush().ok();
}
