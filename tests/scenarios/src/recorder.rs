//! A running `hvsock-top record`, and what its recordings say.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::once::{self, Ended};
use crate::schema;
use crate::snapshot::Snapshot;
use crate::steps::LIMIT;
use crate::top::START;

/// A running `hvsock-top record -o FILE`; killed when dropped.
pub(crate) struct Recorder {
    child: Child,
    file: String,
}

impl Recorder {
    /// Starts it and waits for its first Snapshot: from then on it misses nothing.
    pub(crate) fn start(file: &str, options: &[&str]) -> Result<Self> {
        let child = Command::new("hvsock-top")
            .args(["record", "-o", file])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let mut recorder = Self { child, file: file.to_owned() };
        let end = Instant::now() + START;
        // The header comes before it.
        while size(Path::new(file)) == 0
            || once::hvsock_top(&["json", "--once", "--replay", file])?.stdout.is_empty()
        {
            if let Some(status) = recorder.child.try_wait()? {
                bail!("hvsock-top ended before its first Snapshot, {status}");
            }
            ensure!(Instant::now() < end, "hvsock-top records nothing after {START:?}");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(recorder)
    }

    /// Waits until the file is so large.
    pub(crate) fn wait_for_size(&mut self, bytes: u64) -> Result<()> {
        let end = Instant::now() + LIMIT;
        while size(Path::new(&self.file)) < bytes {
            ensure!(Instant::now() < end, "{} does not grow to {bytes} bytes within {LIMIT:?}", self.file);
            ensure!(self.child.try_wait()?.is_none(), "hvsock-top record has ended");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("hvsock-top has ended already")
    }

    /// Sends a signal and waits for its end.
    pub(crate) fn end(self, signal: Signal) -> Result<Ended> {
        self.signal(signal)?;
        self.wait()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Result<Ended> {
        once::ended(&mut self.child)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Bytes of a file; 0 where there is none.
pub(crate) fn size(file: &Path) -> u64 {
    file.metadata().map_or(0, |m| m.len())
}

/// What a recording replays to.
pub(crate) struct Replayed {
    /// How `json --replay` ended.
    pub(crate) ended: Ended,
    pub(crate) snapshots: Vec<Snapshot>,
    pub(crate) events: Vec<Value>,
}

/// Replays a recording; what is said of one that is cut is in `ended`.
pub(crate) fn replay(file: &str) -> Result<Replayed> {
    let mut ended = once::hvsock_top(&["json", "--replay", file])?;
    let snapshots = ended.stdout.lines().map(Snapshot::parse).collect::<Result<Vec<_>>>()?;
    let events = once::hvsock_top(&["events", "--json", "--replay", file])?;
    ensure!(events.code == ended.code, "events --replay ended otherwise: {events:?}");
    let events = events.stdout.lines().map(|l| schema::EVENT.parse(l)).collect::<Result<_>>()?;
    // `replay` into a pipe is the same, byte for byte.
    let same = once::hvsock_top(&["replay", file])?;
    ensure!(same.stdout == ended.stdout, "replay and json --replay differ");
    for pair in snapshots.windows(2) {
        let passed = pair[1].number("uptime_ns")? - pair[0].number("uptime_ns")?;
        let told = pair[1].number("interval_ns")?;
        ensure!(told == passed, "a Snapshot is missing: {passed} ns have passed, {told} are told");
    }
    ended.stdout.clear();
    Ok(Replayed { ended, snapshots, events })
}

impl Replayed {
    /// It was whole.
    pub(crate) fn whole(self) -> Result<Self> {
        ensure!(
            self.ended.code == Some(0) && self.ended.stderr.is_empty(),
            "expected a whole one: {:?}",
            self.ended
        );
        Ok(self)
    }

    /// The last Snapshot.
    pub(crate) fn last(&self) -> Result<&Snapshot> {
        self.snapshots.last().context("no Snapshot was replayed")
    }
}
