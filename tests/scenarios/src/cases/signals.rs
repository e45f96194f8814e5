//! hvsock-top is told to stop at any moment of its life.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::Kernel;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps::{self, LIMIT};
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "signals",
        "SIGINT, SIGTERM and SIGKILL at random moments, those of the start too: nothing stays in the kernel",
        run,
    )
};

const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::KILL];
/// Of each signal.
const TIMES: u64 = 2;
const OUTPUT: &str = "/tmp/signals.out";

fn run() -> Result<()> {
    host::host("mode 5480 echo")?;
    let stream = traffic::connect(5480)?;
    let before = Kernel::now()?;
    // How long it takes to start on this machine: the moments lie in that time and half as much beyond.
    let begun = Instant::now();
    Top::start()?.stop()?;
    let life = begun.elapsed().mul_f64(1.5);
    before.is_as_before().context("after an undisturbed run")?;

    let seed = uptime()?;
    let mut random = seed | 1;
    let (mut early, mut late) = (0, 0);
    for round in 0..TIMES {
        for signal in SIGNALS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // One of each in every part of the time.
            let part = (round as f64 + (random >> 40) as f64 / (1u64 << 24) as f64) / TIMES as f64;
            let moment = life.mul_f64(part);
            let snapshots = one(signal, moment)
                .and_then(|n| before.is_as_before().map(|()| n))
                .with_context(|| format!("{signal:?} after {moment:?}, seed {seed}"))?;
            if snapshots == 0 { early += 1 } else { late += 1 }
        }
    }
    ensure!(early > 0 && late > 0, "the moments lie on one side only: {early} early, {late} late");
    // The traffic has not noticed.
    traffic::echo(&stream, 5000)?;
    drop(stream);
    steps::all_gone()?;
    Ok(())
}

/// Starts hvsock-top, gives the signal, and looks at how it ended; how many Snapshots it printed.
fn one(signal: Signal, moment: Duration) -> Result<usize> {
    let mut child = Command::new("hvsock-top")
        .args(["json", "--interval", "50ms"])
        .stdin(Stdio::null())
        .stdout(File::create(OUTPUT)?)
        .stderr(File::create(format!("{OUTPUT}.errors"))?)
        .spawn()
        .context("cannot start hvsock-top")?;
    thread::sleep(moment);
    kill_process(Pid::from_child(&child), signal).context("hvsock-top has ended already")?;
    let end = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            anyhow::bail!("it does not end within {LIMIT:?}");
        }
        thread::sleep(Duration::from_millis(5));
    };
    let stdout = std::fs::read_to_string(OUTPUT)?;
    let stderr = std::fs::read_to_string(format!("{OUTPUT}.errors"))?;
    // Before it listens, a signal ends it as it ends any process; nothing is attached by then.
    let by_signal = status.signal() == Some(signal.as_raw());
    let fine =
        if signal == Signal::KILL { by_signal } else { status.success() || (by_signal && stdout.is_empty()) };
    ensure!(fine, "it ended with {status}, {} bytes of output; it says: {stderr}", stdout.len());
    ensure!(stderr.is_empty(), "it complains: {stderr}");
    if signal != Signal::KILL {
        ensure!(stdout.is_empty() || stdout.ends_with('\n'), "the last line is cut");
        for line in stdout.lines() {
            Snapshot::parse(line)?;
        }
    }
    Ok(stdout.lines().count())
}
