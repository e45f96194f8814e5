//! The guest's `guest stage` from outside: asks for acts over the guest's console, which xtask joins to a socket.

use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hvsock_guest::ledger::Ledger;

use crate::console;

/// How long an act may take: a connect that nobody answers alone takes 2 s.
const PATIENCE: Duration = Duration::from_secs(40);

/// How often a ledger is asked for in which the kernel's own messages stand.
const TRIES: usize = 3;

/// The socket before the guest's console is there.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    listener: UnixListener,
}

impl Socket {
    /// Makes one of that name, in the folder for what is temporary: the path of a socket must be short.
    pub(crate) fn make(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("hvsock-top-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener =
            UnixListener::bind(&path).with_context(|| format!("cannot listen at {}", path.display()))?;
        listener.set_nonblocking(true)?;
        Ok(Self { path, listener })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the console, and on it for the stage.
    pub(crate) fn stage(self, limit: Duration) -> Result<Stage> {
        let end = Instant::now() + limit;
        let stream = loop {
            match self.listener.accept() {
                Ok((stream, _)) => break stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(error) => return Err(error).context("no guest has come"),
            }
        };
        stream.set_nonblocking(false)?;
        let from = BufReader::new(stream.try_clone()?);
        let (sender, lines) = channel();
        // Ends with the stream, or when nobody takes the lines any more.
        std::thread::spawn(move || from.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut stage = Stage { lines, to: stream, said: Vec::new() };
        stage.answer("ready", limit)?;
        Ok(stage)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// A running `guest stage`.
#[derive(Debug)]
pub(crate) struct Stage {
    lines: Receiver<String>,
    to: UnixStream,
    /// What the console has said.
    said: Vec<String>,
}

/// What an act has left to say.
#[derive(Debug)]
pub(crate) struct Answer {
    words: String,
    lines: Vec<String>,
}

impl Answer {
    /// The number after `name=`.
    pub(crate) fn number(&self, name: &str) -> Result<u64> {
        let mut words = self.words.split_whitespace().filter_map(|word| word.split_once('='));
        let found = words.find(|(its, _)| *its == name).and_then(|(_, value)| value.parse().ok());
        found.with_context(|| format!("no {name} in \"{}\"", self.words))
    }
}

impl Stage {
    /// Has an act played; when this returns it has been.
    pub(crate) fn play(&mut self, act: &str) -> Result<Answer> {
        self.to.write_all(format!("{act}\n").as_bytes()).context("the console takes nothing")?;
        self.answer(&format!("done {act}"), PATIENCE)
    }

    /// The ledger as of now.
    pub(crate) fn ledger(&mut self) -> Result<Ledger> {
        let mut tries = 1;
        loop {
            let answer = self.play("ledger")?;
            let text: Vec<&str> = answer.lines.iter().map(String::as_str).filter(|l| is_ledger(l)).collect();
            match text.join("\n").parse::<Ledger>() {
                Ok(ledger) if text.first().is_some_and(|line| line.starts_with("host ")) => {
                    return Ok(ledger);
                }
                Ok(_) if tries == TRIES => bail!("no ledger: {:?}", answer.lines),
                Err(error) if tries == TRIES => return Err(error),
                _ => tries += 1,
            }
        }
    }

    /// The last lines of the console.
    pub(crate) fn tail(&mut self) -> String {
        while let Ok(line) = self.lines.try_recv() {
            self.said.push(line);
        }
        console::tail(&self.said).join("\n")
    }

    /// The lines up to the one that says `what`.
    fn answer(&mut self, what: &str, limit: Duration) -> Result<Answer> {
        let end = Instant::now() + limit;
        let mut lines = Vec::new();
        loop {
            let line = match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(RecvTimeoutError::Timeout) => bail!("the guest does not say within {limit:?}: {what}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the guest has gone before it said: {what}"),
            };
            if let Some((_, said)) = line.split_once("stage: ") {
                if let Some(words) = said.strip_prefix(what) {
                    return Ok(Answer { words: words.to_owned(), lines });
                }
                if said.starts_with("failed ") {
                    bail!("in the guest: {said}");
                }
            }
            if !is_ledger(&line) {
                self.said.push(line.clone());
            }
            lines.push(line);
        }
    }
}

/// Whether a line is one of the ledger's, and not one of the kernel's.
fn is_ledger(line: &str) -> bool {
    ["host ", "port ", "conn ", "fault "].iter().any(|word| line.starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_the_kernel_says() -> Result<()> {
        let (ours, mut theirs) = UnixStream::pair()?;
        let (sender, lines) = channel();
        let mut stage = Stage { lines, to: ours, said: Vec::new() };
        for line in ["[ 1.2] hv_vmbus: hello", "stage: done stall filled=24504 since=12"] {
            sender.send(line.to_owned())?;
        }
        let answer = stage.play("stall")?;
        assert_eq!((answer.number("filled")?, answer.number("since")?), (24_504, 12));
        assert!(answer.number("size").is_err());
        let mut asked = [0; 6];
        std::io::Read::read_exact(&mut theirs, &mut asked)?;
        assert_eq!(&asked, b"stall\n");

        sender.send("stage: failed live: no".to_owned())?;
        assert!(stage.play("live").is_err_and(|e| e.to_string().contains("failed live: no")));
        drop(sender);
        assert!(stage.play("rest").is_err_and(|e| e.to_string().contains("gone")));
        Ok(())
    }
}
