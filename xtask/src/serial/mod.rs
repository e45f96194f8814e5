//! The terminal interface over the guest's serial line, with live traffic: what a person sees who runs `cargo xtask demo`.
//!
//! `xtask vm --tty` runs on a terminal of its own, and in it hvsock-top on the guest's serial line. Keys go in there, and the screen
//! is what comes out. What moves in the guest is asked for over its console (`stage`), and the ledger is read there too: at rest each
//! number on the screen must be the ledger's, and the ledger the same before and after.

mod views;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use hvsock_guest::ledger::{Conn, Ledger};
use hvsock_guest::release::{self, COUNTS_SKIPPED};
use hvsock_screen::Screen;
use hvsock_screen::shows::Guest;
use hvsock_screen::times::Span;

use crate::paths;
use crate::stage::{Socket, Stage};

/// What to call it with `--only`, and in results.
pub(crate) const NAME: &str = "serial";

/// What this can take at most, to order it among guests that run scenarios.
pub(crate) const WEIGHT: u64 = 120;

/// What runs on the serial line. hvsock-top in the foreground; what comes after it shows whether the terminal is as before.
const SESSION: &str = "guest stage /dev/ttyS0 & echo this was there before; hvsock-top --interval 500ms; echo ended $?; \
                       stty -a; read -r line; echo read $line";

/// How long until the guest is up and hvsock-top shows something: the kernel verifies every program, on an emulated CPU.
const START: Duration = Duration::from_mins(2);

/// How long until something that has happened is shown.
const LIMIT: Duration = Duration::from_secs(30);

/// When nothing has come for so long, what was being drawn is drawn.
const DRAWN: Duration = Duration::from_millis(150);

/// Rows and columns.
const SMALL: (u16, u16) = (24, 80);
const LARGE: (u16, u16) = (40, 120);

/// Services of the stage's: echoes, the one that takes so long to answer an open, the one that does not read, and the guest's listener with
/// its backlog.
const FIRST: u32 = 5701;
const SECOND: u32 = 5702;
const HELD: u32 = 5706;
const HELD_NS: u64 = 400_000_000;
const STALL: u32 = 5711;
const OVERFLOW: u32 = 6700;
const BACKLOG: u32 = 2;

/// Connections of the guest's after the first act.
const OPENED: usize = 5;

/// How much the blocked sender wants to send.
const WAITING_BYTES: u64 = 4096;

/// Runs it on one kernel. What the screen showed is kept, under `target`.
pub(crate) fn run(kernel: &str) -> Result<()> {
    let folder = paths::target().join("serial").join(kernel);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let socket = Socket::make(&format!("{kernel}.console"))?;
    // The very program that runs, whatever has become of its file.
    let mut command = Command::new("/proc/self/exe");
    command.args(["vm", "--tty", "--no-build", "--kernel", kernel, "--console"]).arg(socket.path());
    command.args(["--", "sh", "-c", SESSION]);
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    for name in ["COLORTERM", "NO_COLOR", "COLORFGBG", "LC_ALL"] {
        command.env_remove(name);
    }
    let mut screen = Screen::start(&mut command, LARGE.0, LARGE.1)?;
    let stage = socket.stage(START);
    let result = stage.and_then(|stage| {
        let mut session = Session { screen: &mut screen, stage, folder: folder.clone(), shots: 0 };
        let result = session.run(release::is_from(kernel, COUNTS_SKIPPED)?);
        result.map_err(|error| anyhow!("{error:#}\nthe console:\n{}", session.stage.tail()))
    });
    result.map_err(|error| {
        let file = folder.join("failed.txt");
        let saved = match fs::write(&file, screen.text()) {
            Ok(()) => format!("the screen is saved in {}", file.display()),
            Err(error) => format!("the screen cannot be saved: {error}"),
        };
        error.context(saved)
    })
}

struct Session<'a> {
    screen: &'a mut Screen,
    stage: Stage,
    folder: PathBuf,
    shots: usize,
}

impl Session<'_> {
    fn run(&mut self, tells: bool) -> Result<()> {
        self.screen.wait("the header", START, |text| text.contains(" conns "))?;
        ensure!(self.screen.is_taken()?, "hvsock-top has not taken the terminal");
        let begun = self.now()?;
        self.stage.play("open")?;
        let opened = self.stage.ledger()?;
        self.live()?;
        self.stage.play("rest")?;
        let blocked = self.stage.play("stall")?;
        self.stage.play("fail")?;
        let guest = Guest {
            listening: &[OVERFLOW],
            waits: Some((STALL, 1, true)),
            unread: blocked.number("filled")?,
            tells,
            ..Guest::default()
        };
        self.all_views(&guest)?;
        self.times(&opened, begun)?;
        let since = blocked.number("since")?;
        // The screen has shown the wait before the first of these moments; it goes on after the second.
        let waited = self.now()?;
        self.waiting(since)?;
        let waits = self.now()?;
        self.stage.play("release")?;
        let stall = Span { from: waits - waited, to: self.now()? - since };
        self.released(&Guest { waits: Some((STALL, 1, false)), unread: 0, ..guest }, stall)?;
        self.stage.play("close")?;
        // Its listener was closed on those it had not accepted.
        self.closed(&Guest { waits: Some((STALL, 1, false)), unread: 0, never_accepted: 2, ..guest })?;
        self.left()
    }

    /// The host's clock.
    fn now(&mut self) -> Result<u64> {
        Ok(self.stage.ledger()?.host.now_ns)
    }

    /// Fails unless nothing has happened since that ledger was read: the numbers that were compared belong together.
    fn still(&mut self, before: &Ledger) -> Result<()> {
        let state = |ledger: &Ledger| -> Vec<_> {
            let figures = |c: &Conn| {
                (c.id, c.state, c.rx_bytes, c.rx_packets, c.tx_bytes, c.tx_packets, c.out_used, c.in_used)
            };
            ledger.conns.iter().map(figures).collect()
        };
        let after = self.stage.ledger()?;
        ensure!(
            state(before) == state(&after),
            "it was not at rest: {:?} {:?}",
            state(before),
            state(&after)
        );
        Ok(())
    }

    /// Types, and waits for what must then be on the screen.
    fn keys(&mut self, keys: &str, what: &str, check: impl Fn(&str) -> Result<()>) -> Result<String> {
        self.screen.press(keys)?;
        self.see(what, check).with_context(|| format!("after the keys {keys:?}"))
    }

    /// Waits for something on the screen, drawn to its end, and keeps what the screen showed then.
    fn see(&mut self, what: &str, check: impl Fn(&str) -> Result<()>) -> Result<String> {
        let end = Instant::now() + LIMIT;
        let text = loop {
            let text = self.screen.wait_for(what, LIMIT, &check)?;
            std::thread::sleep(DRAWN);
            if self.screen.text() == text {
                break text;
            }
            ensure!(Instant::now() < end, "the screen does not come to rest: {what}; it shows\n{text}");
        };
        self.shots += 1;
        let file = self.folder.join(format!("{:02} {what}.txt", self.shots));
        fs::write(&file, &text).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(text)
    }

    fn size(&mut self, (rows, columns): (u16, u16)) -> Result<()> {
        self.screen.resize(rows, columns)
    }
}
