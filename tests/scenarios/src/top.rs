//! A running `hvsock-top json`: its Snapshots as they come, its stderr, its end.

use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::snapshot::Snapshot;
use crate::steps::LIMIT;

/// Between Snapshots.
const INTERVAL: &str = "200ms";

/// A running `hvsock-top json`; killed when dropped.
pub(crate) struct Top {
    child: Child,
    snapshots: Receiver<Result<Snapshot>>,
    stderr: Option<JoinHandle<String>>,
}

impl Top {
    /// Starts it and waits for the first Snapshot: from then on it misses nothing.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with more arguments.
    pub(crate) fn start_with(arguments: &[&str]) -> Result<Self> {
        let mut child = Command::new("hvsock-top")
            .args(["json", "--interval", INTERVAL])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut errors = child.stderr.take().context("no stderr")?;
        let (sender, snapshots) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let parsed = line.map_err(Into::into).and_then(|l| Snapshot::parse(&l));
                if sender.send(parsed).is_err() {
                    break;
                }
            }
        });
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).ok();
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut top = Self { child, snapshots, stderr: Some(stderr) };
        match top.snapshots.recv_timeout(LIMIT) {
            Ok(first) => first.map(|_| top),
            Err(RecvTimeoutError::Timeout) => bail!("hvsock-top shows nothing after {LIMIT:?}"),
            Err(RecvTimeoutError::Disconnected) => Err(top.died()),
        }
    }

    /// Waits for two Snapshots in a row, taken from now on, that pass `check`; gives the second. The error is that of
    /// the last one that did not pass.
    pub(crate) fn wait(&self, what: &str, check: impl Fn(&Snapshot) -> Result<()>) -> Result<Snapshot> {
        self.wait_for(LIMIT, what, check)
    }

    /// The same with a limit.
    pub(crate) fn wait_for(
        &self,
        limit: Duration,
        what: &str,
        check: impl Fn(&Snapshot) -> Result<()>,
    ) -> Result<Snapshot> {
        let begun = uptime()?;
        let end = Instant::now() + limit;
        let mut passed = false;
        let mut last = anyhow!("no Snapshot has come");
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let snapshot = match self.snapshots.recv_timeout(left) {
                Ok(snapshot) => snapshot?,
                Err(RecvTimeoutError::Timeout) => {
                    return Err(last.context(format!("hvsock-top does not show within {limit:?}: {what}")));
                }
                Err(RecvTimeoutError::Disconnected) => bail!("hvsock-top ended while waiting for: {what}"),
            };
            if snapshot.number("uptime_ns")? < begun {
                continue;
            }
            match check(&snapshot) {
                Ok(()) if passed => return Ok(snapshot),
                Ok(()) => passed = true,
                Err(error) => {
                    passed = false;
                    last = error;
                }
            }
        }
    }

    /// Stops it as a user does and checks that it ends well, and has had nothing to complain about.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).context("hvsock-top has ended already")?;
        let status = self.ended()?;
        let stderr = self.stderr();
        ensure!(status.success(), "hvsock-top ended with {status} after SIGINT; it says: {stderr}");
        ensure!(stderr.is_empty(), "hvsock-top complains: {stderr}");
        Ok(())
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        let status = self.ended()?;
        ensure!(status.signal() == Some(libc::SIGKILL), "hvsock-top had ended before, with {status}");
        Ok(())
    }

    fn ended(&mut self) -> Result<ExitStatus> {
        let end = Instant::now() + LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("hvsock-top does not end within {LIMIT:?}")
    }

    fn stderr(&mut self) -> String {
        self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default()
    }

    fn died(&mut self) -> anyhow::Error {
        let status = self.ended().map_or_else(|e| e.to_string(), |s| s.to_string());
        anyhow!("hvsock-top ended before its first Snapshot, {status}: {}", self.stderr())
    }
}

impl Drop for Top {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// CLOCK_MONOTONIC, which Snapshots carry as `uptime_ns`.
fn uptime() -> Result<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}
