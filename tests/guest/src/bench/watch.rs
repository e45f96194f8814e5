//! hvsock-top, attached and silent until it is asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// A running `hvsock-top hold --ask`.
pub(super) struct Watch {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Watch {
    /// Starts it, and waits until everything is attached.
    pub(super) fn start() -> Result<Self> {
        let mut command = Command::new("hvsock-top");
        command.args(["hold", "--ask"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start hvsock-top")?;
        let (input, output) = (child.stdin.take(), child.stdout.take().context("no output")?);
        let mut watch = Self { child, input, output: BufReader::new(output) };
        watch.line()?;
        Ok(watch)
    }

    /// What it has counted so far: a Snapshot without its connections.
    pub(super) fn ask(&mut self) -> Result<Value> {
        self.input.as_mut().context("no input")?.write_all(b"\n").context("hvsock-top ended too early")?;
        serde_json::from_str(&self.line()?).context("hvsock-top gives no JSON")
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<()> {
        drop(self.input.take());
        let status = self.child.wait()?;
        ensure!(status.success(), "hvsock-top failed: {status}");
        Ok(())
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "hvsock-top ended too early");
        Ok(line)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
