//! hvsock-top is told to stop at any moment of its life.

use std::fs::File;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::{host, traffic};
use rustix::process::{Pid, Signal, kill_process};

use crate::bed::Kernel;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
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
/// Detaching waits for the kernel, once for each probe; attaching goes on to its end before a signal counts.
const LIMIT: Duration = Duration::from_mins(1);

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
    let mut moments = Vec::new();
    for round in 0..TIMES {
        // Three at a time: most of their end is waiting for the kernel.
        let mut running = Vec::new();
        for signal in SIGNALS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // One of each in every part of the time.
            let part = (round as f64 + (random >> 40) as f64 / (1u64 << 24) as f64) / TIMES as f64;
            let moment = life.mul_f64(part);
            moments.push((signal, moment));
            running.push(thread::spawn(move || one(signal, moment)));
        }
        for thread in running {
            let result = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
            result.with_context(|| format!("one of {moments:?}, seed {seed}"))?;
        }
        before.is_as_before().with_context(|| format!("after {moments:?}, seed {seed}"))?;
    }
    // The traffic has not noticed.
    traffic::echo(&stream, 5000)?;
    drop(stream);
    steps::all_gone()?;
    Ok(())
}

/// Starts hvsock-top, gives the signal, and looks at how it ended.
fn one(signal: Signal, moment: Duration) -> Result<()> {
    let output = format!("/tmp/signals.{}", signal.as_raw());
    let errors = format!("{output}.errors");
    let mut child = Command::new("hvsock-top")
        .args(["json", "--interval", "50ms"])
        .stdin(Stdio::null())
        .stdout(File::create(&output)?)
        .stderr(File::create(&errors)?)
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
    let stdout = std::fs::read_to_string(&output)?;
    let stderr = std::fs::read_to_string(&errors)?;
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
    Ok(())
}
