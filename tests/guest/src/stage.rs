//! Traffic in acts, each asked for with a line: for a test that stands outside of the guest and watches hvsock-top from there.
//!
//! Lines come in, and answers go out, over one serial port. `stage: ready pid=N` is the first; each line that came is answered with
//! `stage: done ACT KEY=VALUE …` or `stage: failed ACT: WHY`. What the answer says has happened before it is given.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use hvsock_guest::host::{host, ledger_text, wait_ledger};
use hvsock_guest::ledger::Ledger;
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{PATIENCE, traffic};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// Services of the host that send back what they get, with a connection each.
const ECHO: [u32; 4] = [5701, 5702, 5703, 5704];
/// The same, for connections that come and go.
const SHORT: u32 = 5705;
/// A service of the host that takes so long to answer an open, with a connection.
const HELD: u32 = 5706;
const HELD_MS: u32 = 400;
/// A service of the host that does not read until it is told to.
const STALL: u32 = 5711;
/// A service of the host that does not answer.
const SILENT: u32 = 5722;
/// A service of the guest with room for one connection more than its backlog says; so many are tried.
const OVERFLOW: u32 = 6700;
const BACKLOG: u32 = 2;
const CONNECTS: usize = 7;
/// A port of the guest where nobody listens; so many connections are tried.
const NOBODY: u32 = 6100;
const TRIES: usize = 2;

/// Plays what is asked for on the serial port at `path`, until that is closed.
pub(crate) fn run(path: &Path) -> Result<()> {
    let port = OpenOptions::new().read(true).write(true).open(path);
    let mut port = port.with_context(|| format!("cannot open {}", path.display()))?;
    silence(&port)?;
    for port in ECHO.iter().chain([&SHORT]) {
        host(&format!("mode {port} echo"))?;
    }
    host(&format!("mode {HELD} hold {HELD_MS}"))?;
    host(&format!("mode {STALL} stall"))?;
    host(&format!("mode {SILENT} ignore"))?;
    // The guest says nothing of those it drops: the host must not take an offer back before the guest has come to it.
    host("refuse_delay 3000")?;
    let lines = BufReader::new(port.try_clone()?).lines();
    let mut stage = Stage::default();
    say(&mut port, &format!("ready pid={}", std::process::id()))?;
    for line in lines {
        let line = line.with_context(|| format!("cannot read {}", path.display()))?;
        let act = line.trim();
        let answer = if act == "ledger" {
            // Not in one piece with what the kernel may have to say in between: who reads it looks at how lines begin.
            ledger_text().and_then(|text| Ok(port.write_all(text.as_bytes())?)).map(|()| String::new())
        } else {
            stage.play(act)
        };
        match answer {
            Ok(more) => say(&mut port, format!("done {act} {more}").trim_end())?,
            Err(error) => say(&mut port, &format!("failed {act}: {error:#}"))?,
        }
    }
    Ok(())
}

/// What comes in is not sent back.
fn silence(port: &File) -> Result<()> {
    let mut settings = tcgetattr(port).context("this is no serial port")?;
    settings.local_modes -= LocalModes::ECHO;
    tcsetattr(port, OptionalActions::Now, &settings).context("cannot set the serial port up")
}

fn say(port: &mut File, text: &str) -> Result<()> {
    port.write_all(format!("stage: {text}\n").as_bytes()).context("cannot answer")
}

/// What is going on.
#[derive(Default)]
struct Stage {
    held: Option<Stream>,
    echoes: Vec<Arc<Stream>>,
    live: Vec<JoinHandle<Result<()>>>,
    rest: Arc<AtomicBool>,
    stalled: Option<(Arc<Stream>, JoinHandle<Result<()>>)>,
    dropping: Option<(Listener, Stream)>,
}

impl Stage {
    /// Plays one act; gives what is to be known about it.
    fn play(&mut self, act: &str) -> Result<String> {
        match act {
            "open" => self.open()?,
            "live" => self.live(),
            "rest" => self.rest()?,
            "stall" => return self.stall(),
            "fail" => self.fail()?,
            "release" => self.release()?,
            "close" => self.close()?,
            _ => bail!("there is no such act"),
        }
        Ok(String::new())
    }

    /// A connection that the host took long to answer, and one to each echo; they have carried different amounts.
    fn open(&mut self) -> Result<()> {
        self.held = Some(traffic::connect(HELD)?);
        for (port, n) in ECHO.into_iter().zip(0_usize..) {
            let stream = traffic::connect(port)?;
            traffic::echo(&stream, 700 + 9_000 * n * n)?;
            self.echoes.push(Arc::new(stream));
        }
        self.rest()
    }

    /// All of them carry more, and others come and go, until [`Self::rest`].
    fn live(&mut self) {
        self.rest = Arc::default();
        for (stream, n) in self.echoes.iter().zip(1_usize..) {
            let (stream, rest) = (Arc::clone(stream), Arc::clone(&self.rest));
            self.live.push(thread::spawn(move || {
                while !rest.load(Ordering::Relaxed) {
                    traffic::echo(&stream, 400 * n)?;
                    thread::sleep(Duration::from_millis(60));
                }
                Ok(())
            }));
        }
        let rest = Arc::clone(&self.rest);
        self.live.push(thread::spawn(move || {
            while !rest.load(Ordering::Relaxed) {
                let stream = traffic::connect(SHORT)?;
                traffic::echo(&stream, 100)?;
                traffic::close(stream)?;
                thread::sleep(Duration::from_millis(500));
            }
            Ok(())
        }));
    }

    /// Nothing moves any more, and what was closed is gone.
    fn rest(&mut self) -> Result<()> {
        self.rest.store(true, Ordering::Relaxed);
        for thread in self.live.drain(..) {
            joined(thread)?;
        }
        let still = |l: &Ledger| {
            l.live().all(|c| c.service() == STALL || (c.out_used == 0 && c.in_used == 0))
                && l.of_service(SHORT).all(|c| !c.live())
        };
        wait_ledger("nothing moves", PATIENCE, still)?;
        Ok(())
    }

    /// A ring is full and a sender waits for room: how much went in before, and since when it waits at the earliest.
    fn stall(&mut self) -> Result<String> {
        let stream = Arc::new(traffic::connect(STALL)?);
        let filled = traffic::fill(&stream)?;
        stream.set_no_limit()?;
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let since = u64::try_from(now.tv_sec)? * 1_000_000_000 + u64::try_from(now.tv_nsec)?;
        let sender = Arc::clone(&stream);
        let thread = thread::spawn(move || Ok(sender.send(&traffic::pattern(0, 4096))?));
        self.stalled = Some((stream, thread));
        wait_ledger("the ring is full", PATIENCE, |l| l.of_service(STALL).any(|c| c.full_since_ns > 0))?;
        Ok(format!("filled={filled} since={since}"))
    }

    /// Opens that fail: a full backlog, a port where nobody listens, a host that does not answer. One of those that wait is accepted.
    fn fail(&mut self) -> Result<()> {
        let listener = Listener::bind(OVERFLOW, BACKLOG)?;
        host(&format!("connect {OVERFLOW} echo 0 {CONNECTS}"))?;
        host(&format!("connect {NOBODY} echo 0 {TRIES}"))?;
        if Stream::connect(SILENT).is_ok() {
            bail!("the host has answered at port {SILENT}");
        }
        let decided = |l: &Ledger, port, times| {
            l.of_service(port).filter(|c| c.opened_ns > 0 || c.refused).count() == times
        };
        let all = |l: &Ledger| decided(l, OVERFLOW, CONNECTS) && decided(l, NOBODY, TRIES);
        wait_ledger("all offers are decided", PATIENCE, all)?;
        let accepted = listener.accept(PATIENCE)?.context("nothing to accept")?;
        self.dropping = Some((listener, accepted));
        Ok(())
    }

    /// The host reads again, and the sender that waited is done.
    fn release(&mut self) -> Result<()> {
        host(&format!("release {STALL}"))?;
        let (stream, thread) = self.stalled.take().context("nobody waits")?;
        joined(thread)?;
        self.echoes.push(stream);
        wait_ledger("all has been read", PATIENCE, |l| l.live().all(|c| c.out_used == 0))?;
        Ok(())
    }

    /// All is closed and gone.
    fn close(&mut self) -> Result<()> {
        self.rest()?;
        self.dropping = None;
        self.held = None;
        self.echoes.clear();
        host("release")?;
        wait_ledger("all connections are gone", PATIENCE, |l| l.live().next().is_none())?;
        Ok(())
    }
}

fn joined(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_| anyhow!("a thread died"))?
}
