//! A running `hvsock-top events --json`: its events as they come.

use std::cell::RefCell;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::ledger::State;
use hvsock_guest::{host, traffic};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::schema;
use crate::steps::{self, LIMIT};

/// A service of the host's to which only the connections go that tell whether the events have begun.
const MARKER: u32 = 4999;

/// A running `hvsock-top events --json`; killed when dropped.
pub(crate) struct Events {
    child: Child,
    lines: Receiver<Result<Value>>,
    stderr: Option<JoinHandle<String>>,
    seen: RefCell<Vec<Value>>,
}

impl Events {
    /// Starts it and makes connections until it shows one from beginning to end: from then on it misses nothing. These
    /// are not among its events, and the ledger forgets them.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with more options.
    pub(crate) fn start_with(options: &[&str]) -> Result<Self> {
        let mut child = Command::new("hvsock-top")
            .args(["events", "--json"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut errors = child.stderr.take().context("no stderr")?;
        let (sender, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let parsed = line.map_err(anyhow::Error::from).and_then(|l| schema::EVENT.parse(&l));
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
        let mut events = Self { child, lines, stderr: Some(stderr), seen: RefCell::default() };
        events.begin()?;
        Ok(events)
    }

    fn begin(&mut self) -> Result<()> {
        host::host(&format!("mode {MARKER} echo"))?;
        let end = Instant::now() + LIMIT;
        let mut made = 0;
        loop {
            traffic::close(traffic::connect(MARKER)?)?;
            made += 1;
            let ended = self.wait_within(Duration::from_millis(300), "a connection", |seen| {
                let closed = seen.iter().filter(|e| e["event"] == "closed").count();
                let opened = seen.iter().filter(|e| e["event"] == "opened").count();
                ensure!(closed > 0 && opened > 0, "none yet");
                Ok(())
            });
            if ended.is_ok() {
                break;
            }
            if let Some(status) = self.child.try_wait()? {
                let stderr = self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default();
                bail!("hvsock-top events ended, {status}: {stderr}");
            }
            ensure!(
                Instant::now() < end,
                "hvsock-top events shows nothing of {made} connections in {LIMIT:?}"
            );
        }
        steps::wait_ledger("the marker's connections are gone", |l| {
            l.of_service(MARKER).all(|c| c.state == State::Gone)
        })?;
        // What is still under way of the marker's; it is told by its port, too.
        thread::sleep(Duration::from_millis(300));
        self.take(Duration::ZERO)?;
        self.seen.borrow_mut().clear();
        host::host("reset")
    }

    /// Waits for the events since the start to pass `check`. They must go on to do so for a moment: one too many is as
    /// wrong as one too few.
    pub(crate) fn wait(&self, what: &str, check: impl Fn(&[Value]) -> Result<()>) -> Result<Vec<Value>> {
        self.wait_within(LIMIT, what, &check)?;
        self.take(Duration::from_millis(300))?;
        check(&self.seen.borrow()).with_context(|| format!("after that there was more: {what}"))?;
        Ok(self.seen.borrow().clone())
    }

    fn wait_within(&self, limit: Duration, what: &str, check: impl Fn(&[Value]) -> Result<()>) -> Result<()> {
        let end = Instant::now() + limit;
        loop {
            let Err(error) = check(&self.seen.borrow()) else { return Ok(()) };
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let seen = self.seen.borrow();
                let tail: Vec<String> = seen.iter().rev().take(5).map(Value::to_string).collect();
                bail!(
                    "not within {limit:?}: {what}: {error:#}; the last of {} events:\n{}",
                    seen.len(),
                    tail.join("\n")
                );
            }
            self.take(left.min(Duration::from_millis(50)))?;
        }
    }

    /// Takes what has come and what comes within `time`.
    fn take(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(event) => self.seen.borrow_mut().push(event?),
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Err(RecvTimeoutError::Disconnected) => bail!("hvsock-top events has ended"),
            }
        }
    }

    /// Stops it as a user does.
    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::INT).context("hvsock-top has ended already")?;
        let end = Instant::now() + LIMIT;
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(Instant::now() < end, "hvsock-top events does not end within {LIMIT:?}");
            thread::sleep(Duration::from_millis(20));
        };
        let stderr = self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default();
        ensure!(
            status.success() && stderr.is_empty(),
            "hvsock-top events ended with {status}; it says: {stderr}"
        );
        Ok(())
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// How many events are of this kind, with this `why` and, unless it is 0, of the service at `port`.
pub(crate) fn count(events: &[Value], kind: &str, why: Option<&str>, port: u32) -> usize {
    let matches = |e: &&Value| {
        e["event"] == kind
            && why.is_none_or(|why| e["why"] == why)
            && (port == 0 || e["local_port"] == port || e["remote_port"] == port)
    };
    events.iter().filter(matches).count()
}
