//! hvsock-top run to its end: what it printed and how it ended.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::snapshot::Snapshot;
use crate::top::START;

/// What a command left.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; `None` when a signal ended it.
    pub(crate) code: Option<i32>,
    /// That signal.
    pub(crate) signal: Option<i32>,
    /// What it printed.
    pub(crate) stdout: String,
    /// What it complained about.
    pub(crate) stderr: String,
}

/// Runs hvsock-top with these arguments.
pub(crate) fn hvsock_top(arguments: &[&str]) -> Result<Ended> {
    run(Command::new("hvsock-top").args(arguments))
}

/// The same as somebody who is not root.
pub(crate) fn hvsock_top_as_nobody(arguments: &[&str]) -> Result<Ended> {
    run(Command::new("hvsock-top").args(arguments).uid(65534).gid(65534))
}

/// Runs a shell script.
pub(crate) fn shell(script: &str) -> Result<Ended> {
    run(Command::new("sh").args(["-c", script]))
}

/// Runs a command; one that does not end is killed.
fn run(command: &mut Command) -> Result<Ended> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {command:?}"))?;
    ended(&mut child).with_context(|| format!("{command:?}"))
}

/// Waits for a process to end; one that does not is killed. What it says is read if it goes into a pipe.
pub(crate) fn ended(child: &mut Child) -> Result<Ended> {
    let stdout = child.stdout.take().map(|mut stdout| thread::spawn(move || read(&mut stdout)));
    let stderr = child.stderr.take().map(|mut stderr| thread::spawn(move || read(&mut stderr)));
    let end = Instant::now() + START;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > end {
            child.kill()?;
            child.wait()?;
            bail!("does not end within {START:?}");
        }
        thread::sleep(Duration::from_millis(20));
    };
    let text = |reader: Option<thread::JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    Ok(Ended { code: status.code(), signal: status.signal(), stdout: text(stdout), stderr: text(stderr) })
}

fn read(from: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Ended {
    /// It failed with this code, printed nothing, and said in one line what happened and in one line what to do. Each
    /// of `words` is in what it said.
    pub(crate) fn fails(&self, code: i32, words: &[&str]) -> Result<()> {
        ensure!(self.code == Some(code), "expected exit code {code}, got {self:?}");
        ensure!(self.stdout.is_empty(), "expected nothing on stdout, got {self:?}");
        let lines = self.stderr.lines().count();
        ensure!(lines == 2, "expected one line of what and one of what to do, got {lines} lines: {self:?}");
        for word in words {
            ensure!(self.stderr.contains(word), "expected \"{word}\" on stderr, got {self:?}");
        }
        Ok(())
    }

    /// It ended well and printed one Snapshot.
    pub(crate) fn snapshot(&self) -> Result<Snapshot> {
        ensure!(self.code == Some(0), "expected exit code 0, got {self:?}");
        ensure!(self.stderr.is_empty(), "expected nothing on stderr, got {self:?}");
        Snapshot::parse(&self.stdout)
    }
}
