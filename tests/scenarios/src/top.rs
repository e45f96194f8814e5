//! A running `hvsock-top json`: its Snapshots as they come, its stderr, its end.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::proof;
use crate::snapshot::Snapshot;
use crate::steps::LIMIT;

/// How long a start may take: the kernel verifies every program, and several that start at once share a CPU that is emulated.
pub(crate) const START: Duration = Duration::from_mins(1);

/// Between Snapshots.
const INTERVAL: &str = "200ms";

/// Bytes of a line up to which it is checked against the schema although nobody looks at it. Longer ones, of hundreds of connections,
/// would take an emulated CPU longer than the time between two of them.
const CHECKED: usize = 200_000;

/// A running `hvsock-top json`; killed when dropped.
pub(crate) struct Top {
    child: Child,
    newest: Arc<Newest>,
    stderr: Option<JoinHandle<String>>,
}

/// The newest line that nobody has looked at: those before it, of 2,000 connections each, would fill the guest's memory.
#[derive(Default)]
struct Newest {
    state: Mutex<State>,
    changed: Condvar,
    /// Names of the rules that any line so far, looked at or not, has a finding of.
    found: Mutex<BTreeSet<String>>,
    /// What was wrong with a line that nobody has looked at.
    wrong: Mutex<Option<String>>,
}

#[derive(Default)]
enum State {
    #[default]
    Nothing,
    Line(String),
    Ended,
}

impl Newest {
    fn put(&self, state: State) {
        let before =
            std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), state);
        self.changed.notify_one();
        // Those that are looked at are checked there.
        if let State::Line(unread) = before
            && unread.len() <= CHECKED
            && let Err(error) = Snapshot::parse(&unread)
        {
            self.object(error.to_string());
        }
    }

    /// Keeps an objection for [`Top::stop`].
    fn object(&self, wrong: String) {
        self.wrong.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(wrong);
    }

    /// Notes what the line finds. Findings are the last of its members, so that not all of it has to be parsed.
    fn note(&self, line: &str) {
        let Some((_, tail)) = line.rsplit_once("\"findings\":") else { return };
        let tail = tail.strip_suffix('}').unwrap_or(tail);
        let Ok(findings) = serde_json::from_str::<Vec<Value>>(tail) else {
            self.object(format!("not JSON: {tail}"));
            return;
        };
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.extend(findings.iter().filter_map(|f| f["rule"].as_str().map(str::to_owned)));
    }

    /// The line, once there is one; [`State::Nothing`] when none has come by `end`.
    fn take(&self, end: Instant) -> State {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match &*state {
                State::Ended => return State::Ended,
                State::Line(_) => return std::mem::take(&mut *state),
                State::Nothing => {}
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return State::Nothing;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Top {
    /// Starts it and waits for the first Snapshot: from then on it misses nothing.
    pub(crate) fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with more options.
    pub(crate) fn start_with(options: &[&str]) -> Result<Self> {
        let mut child = Command::new("hvsock-top")
            .args(["json", "--interval", INTERVAL])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut errors = child.stderr.take().context("no stderr")?;
        let newest = Arc::new(Newest::default());
        let writer = Arc::clone(&newest);
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let line = line.unwrap_or_else(|error| error.to_string());
                writer.note(&line);
                writer.put(State::Line(line));
            }
            writer.put(State::Ended);
        });
        let stderr = thread::spawn(move || {
            let mut text = Vec::new();
            errors.read_to_end(&mut text).ok();
            String::from_utf8_lossy(&text).into_owned()
        });
        let mut top = Self { child, newest, stderr: Some(stderr) };
        match top.newest.take(Instant::now() + START) {
            State::Line(first) => Snapshot::parse(&first).map(|_| top),
            State::Nothing => bail!("hvsock-top shows nothing after {START:?}"),
            State::Ended => Err(top.died()),
        }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
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
            let snapshot = match self.newest.take(end) {
                State::Line(line) => Snapshot::parse(&line)?,
                State::Nothing => {
                    return Err(last.context(format!("hvsock-top does not show within {limit:?}: {what}")));
                }
                State::Ended => bail!("hvsock-top ended while waiting for: {what}"),
            };
            if snapshot.number("uptime_ns")? < begun {
                continue;
            }
            match check(&snapshot) {
                Ok(()) if passed => {
                    proof::of(&snapshot, &check);
                    return Ok(snapshot);
                }
                Ok(()) => passed = true,
                Err(error) => {
                    passed = false;
                    last = error;
                }
            }
        }
    }

    /// Every rule that has found something since it was started.
    pub(crate) fn found(&self) -> BTreeSet<String> {
        self.newest.found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a finding of this rule, with something in it that says what it rests on.
    pub(crate) fn finds(&self, rule: &str) -> Result<Value> {
        let of = |s: &Snapshot| -> Result<Value> {
            let findings = s.list("findings")?;
            let found = findings.iter().find(|f| f["rule"] == rule);
            found.cloned().with_context(|| format!("no {rule} among {findings:?}"))
        };
        let snapshot = self.wait(&format!("the finding {rule}"), |s| of(s).map(drop))?;
        let finding = of(&snapshot)?;
        let evidence = finding["evidence"].as_object().is_some_and(|e| !e.is_empty());
        ensure!(evidence, "no evidence: {finding}");
        Ok(finding)
    }

    /// Nothing but these rules has found anything.
    pub(crate) fn finds_only(&self, rules: &[&str]) -> Result<()> {
        let (found, expected) = (self.found(), rules.iter().map(|r| (*r).to_owned()).collect());
        ensure!(found == expected, "findings of {expected:?} were expected, found was {found:?}");
        Ok(())
    }

    /// Stops it as a user does and checks that it ends well, and has had nothing to complain about.
    pub(crate) fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::INT).context("hvsock-top has ended already")?;
        let status = self.ended()?;
        let stderr = self.stderr();
        ensure!(status.success(), "hvsock-top ended with {status} after SIGINT; it says: {stderr}");
        ensure!(stderr.is_empty(), "hvsock-top complains: {stderr}");
        match &*self.newest.wrong.lock().unwrap_or_else(PoisonError::into_inner) {
            None => Ok(()),
            Some(wrong) => bail!("a Snapshot that nobody looked at: {wrong}"),
        }
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

/// CLOCK_MONOTONIC, which Snapshots carry as `uptime_ns`, and the ledger all over.
pub(crate) fn uptime() -> Result<u64> {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Ok(u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?)
}
