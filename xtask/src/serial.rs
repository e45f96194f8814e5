//! The terminal interface over the guest's serial line, with live traffic: what a person sees who runs `cargo xtask demo`.
//!
//! `xtask vm --tty` runs on a terminal of its own, and in it hvsock-top on the guest's serial line. Keys go in there, and the screen
//! is what comes out. What moves in the guest is asked for over its console (`stage`), and the ledger is read there too: at rest each
//! number on the screen must be the ledger's, and the ledger the same before and after.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use hvsock_guest::ledger::{Conn, Ledger};
use hvsock_screen::Screen;
use hvsock_screen::sheet::{Column, Sheet, bytes, read_bytes, read_duration};
use hvsock_screen::shows::{self, CONNECTIONS_80, CONNECTIONS_120, Guest, LISTENERS_80, LISTENERS_120, has};

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

/// Services of the stage's: echoes, the one that does not read, the one nobody listens at, and the guest's listener with its backlog.
const FIRST: u32 = 5701;
const SECOND: u32 = 5702;
const STALL: u32 = 5711;
const OVERFLOW: u32 = 6700;
const BACKLOG: u32 = 2;

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
        let result = session.run();
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
    fn run(&mut self) -> Result<()> {
        self.screen.wait("the header", START, |text| text.contains(" conns "))?;
        ensure!(self.screen.is_taken()?, "hvsock-top has not taken the terminal");
        self.stage.play("open")?;
        self.live()?;
        self.stage.play("rest")?;
        let blocked = self.stage.play("stall")?;
        self.stage.play("fail")?;
        let guest = Guest {
            listening: &[OVERFLOW],
            waits: Some((STALL, 1, true)),
            unread: blocked.number("filled")?,
            ..Guest::default()
        };
        self.all_views(&guest)?;
        self.waiting(blocked.number("since")?)?;
        self.stage.play("release")?;
        self.released(&Guest { waits: Some((STALL, 1, false)), unread: 0, ..guest })?;
        self.stage.play("close")?;
        // Its listener was closed on those it had not accepted.
        self.closed(&Guest { waits: Some((STALL, 1, false)), unread: 0, never_accepted: 2, ..guest })?;
        self.left()
    }

    /// While traffic flows the screen follows it, never ahead of the host; frozen it stays; and views change.
    fn live(&mut self) -> Result<()> {
        self.keys("2x", "the connections", |text| Sheet::read(text, &CONNECTIONS_120).map(drop))?;
        self.stage.play("live")?;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let before = carried(&self.stage.ledger()?)?;
            let text = self.see("bytes that flow", |text| {
                let row = total(text)?;
                ensure!(row >= before as f64 * 0.99, "{row} is less than the {before} of before");
                let more = seen.last().is_none_or(|last| row > *last);
                ensure!(more, "the sum does not grow: {row}");
                let sheet = Sheet::read(text, &CONNECTIONS_120)?;
                let rate = read_bytes(&sheet.row("PORT", &FIRST.to_string())?.get("TX/s")?)?;
                ensure!(rate > 0.0, "nothing per second");
                Ok(())
            })?;
            let after = carried(&self.stage.ledger()?)?;
            let shown = total(&text)?;
            ensure!(shown <= after as f64 * 1.01, "{shown} is more than the {after} of afterwards:\n{text}");
            seen.push(shown);
        }
        self.size(SMALL)?;
        self.see("the connections on a smaller terminal", |text| {
            let sheet = Sheet::read(text, &CONNECTIONS_80)?;
            let rate = read_bytes(&sheet.row("PORT", &FIRST.to_string())?.get("RX/s")?)?;
            ensure!(rate > 0.0, "nothing per second");
            Ok(())
        })?;
        self.keys("1", "the overview", |text| {
            has(text, "Trends ─")?;
            ensure!(!text.lines().nth(1).unwrap_or_default().contains("  tx 0 B/s"), "nothing flows");
            Ok(())
        })?;
        self.keys("\t", "the view after it", |text| Sheet::read(text, &CONNECTIONS_80).map(drop))?;
        self.size(LARGE)?;
        let row = |text: &str| -> Result<Vec<String>> {
            let sheet = Sheet::read(text, &CONNECTIONS_120)?;
            let row = sheet.row("PORT", &FIRST.to_string())?;
            ["TX/s", "RX/s", "AGE", "TX TOTAL", "RX TOTAL"].iter().map(|title| row.get(title)).collect()
        };
        self.see("the larger terminal again", |text| row(text).map(drop))?;
        let frozen = row(&self.keys(" ", "that it is frozen", |text| has(text, "FROZEN"))?)?;
        let before = carried(&self.stage.ledger()?)?;
        std::thread::sleep(Duration::from_millis(1500));
        ensure!(row(&self.screen.text())? == frozen, "frozen it goes on:\n{}", self.screen.text());
        ensure!(carried(&self.stage.ledger()?)? > before, "nothing flows while it is frozen");
        self.keys(" ", "that it goes on", |text| {
            ensure!(!text.contains("FROZEN") && row(text)? != frozen, "as when it was frozen");
            Ok(())
        })?;
        Ok(())
    }

    /// At rest, with a sender that waits and a backlog that was full: every view, on both sizes.
    fn all_views(&mut self, guest: &Guest<'_>) -> Result<()> {
        let ledger = self.stage.ledger()?;
        self.keys("2", "each connection's numbers", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::connections(text, &CONNECTIONS_120, &ledger, guest)
        })?;
        self.detail(&ledger)?;
        self.keys("1", "the sums", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::opens(text, &ledger, guest)?;
            shows::sums(text, &ledger, guest)
        })?;
        self.listeners(&ledger, &LISTENERS_120)?;
        self.keys("5", "how many opens took how long", |text| {
            let opened = |c: &&Conn| c.opened_ns > 0;
            let to_host = ledger.conns.iter().filter(|c| c.guest_port != c.service()).filter(opened).count();
            count(text, "connect", to_host)?;
            count(text, "wait for accept", 1)
        })?;
        self.keys("6", "the lookups and the tables", |text| shows::lookup(text, &ledger, guest))?;
        self.keys("7", "what is wrong", |text| {
            let waiting = ledger.of_service(OVERFLOW).filter(|c| c.opened_ns > 0).count() - 1;
            has(text, &format!("{waiting} connections wait to be accepted at port {OVERFLOW}"))?;
            has(text, &format!("senders of 1 connection at port {STALL} wait for room"))
        })?;
        self.keys("8", "the accounting", |text| has(text, "events are accounted for"))?;
        self.events(&ledger, guest)?;
        self.size(SMALL)?;
        self.keys("1", "the opens on a smaller terminal", |text| {
            shows::header(text, &ledger, guest, SMALL.1)?;
            shows::opens(text, &ledger, guest)
        })?;
        self.keys("2", "each connection on a smaller terminal", |text| {
            shows::connections(text, &CONNECTIONS_80, &ledger, guest)
        })?;
        self.detail(&ledger)?;
        self.listeners(&ledger, &LISTENERS_80)?;
        self.size(LARGE)?;
        self.still(&ledger)
    }

    /// What a filter leaves of the connections, and a closer look at it.
    fn detail(&mut self, ledger: &Ledger) -> Result<()> {
        self.keys("2", "the connections", |text| has(text, "OUT RING"))?;
        self.keys(&format!("/port:{SECOND}\r"), "what the filter leaves", |text| {
            let shown = text.lines().filter(|line| line.starts_with("estab ")).count();
            ensure!(shown == 1, "{shown} rows");
            has(text, &format!("filter: port:{SECOND}"))
        })?;
        // The first row is chosen, then looked at.
        self.keys("g\r", "the connection's own view", |text| shows::detail(text, ledger, SECOND))?;
        // A key that comes too soon after Escape is taken for one with Alt.
        self.keys("\u{1b}", "the table again", |text| has(text, "OUT RING"))?;
        self.keys("\u{1b}", "all of them again", |text| {
            ensure!(!text.contains("filter: port"), "the filter is still there");
            Ok(())
        })
        .map(drop)
    }

    fn listeners(&mut self, ledger: &Ledger, columns: &[Column]) -> Result<()> {
        let check = |text: &str| shows::listener(text, columns, ledger, OVERFLOW, 1, BACKLOG);
        self.keys("4", "the listener's numbers", check).map(drop)
    }

    /// What happened at the listener's port.
    fn events(&mut self, ledger: &Ledger, guest: &Guest<'_>) -> Result<()> {
        self.keys("9", "the events", |text| has(text, "EVENT"))?;
        self.keys(&format!("/port:{OVERFLOW}\r"), "the listener's events", |text| {
            let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
            let opened = ledger.of_service(OVERFLOW).filter(|c| c.opened_ns > 0).count();
            let dropped = shows::dropped(ledger, guest);
            let got = [" opened ", " accepted ", "backlog full"].map(count);
            ensure!(got == [opened, 1, dropped], "expected {:?}, got {got:?}", [opened, 1, dropped]);
            Ok(())
        })?;
        self.keys("\u{1b}", "all events again", |text| {
            ensure!(!text.contains("filter: port"), "the filter is still there");
            Ok(())
        })
        .map(drop)
    }

    /// How long the sender has been waiting lies between what the host's clock says before and after.
    fn waiting(&mut self, since: u64) -> Result<()> {
        let waits = |text: &str| {
            let sheet = Sheet::read(text, &CONNECTIONS_120)?;
            read_duration(&sheet.row("PORT", &STALL.to_string())?.get("STALLED")?)
        };
        let before = (self.stage.ledger()?.host.now_ns - since) as f64;
        let text = self.keys("2", "how long a sender waits", |text| {
            let shown = waits(text)?;
            ensure!(shown >= before * 0.995, "{shown} ns, and it was {before} ns before");
            Ok(())
        })?;
        let after = (self.stage.ledger()?.host.now_ns - since) as f64;
        let shown = waits(&text)?;
        ensure!(shown <= after * 1.005, "{shown} ns is more than the {after} ns of afterwards:\n{text}");
        Ok(())
    }

    /// The host has read what was waiting.
    fn released(&mut self, guest: &Guest<'_>) -> Result<()> {
        let ledger = self.stage.ledger()?;
        let sent = ledger.of_service(STALL).map(|c| c.rx_bytes).sum::<u64>();
        ensure!(sent > WAITING_BYTES, "the host has read {sent} bytes");
        self.keys("2", "what the host has read", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::connections(text, &CONNECTIONS_120, &ledger, guest)?;
            let sheet = Sheet::read(text, &CONNECTIONS_120)?;
            let row = sheet.row("PORT", &STALL.to_string())?;
            row.expect("TX TOTAL", &bytes(sent))?;
            row.expect("STALLED", "·")
        })?;
        self.keys("5", "the wait that has ended", |text| count(text, "send stall", 1))?;
        self.still(&ledger)
    }

    /// All is gone.
    fn closed(&mut self, guest: &Guest<'_>) -> Result<()> {
        let ledger = self.stage.ledger()?;
        self.keys("1", "that all is gone", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::opens(text, &ledger, guest)?;
            shows::sums(text, &ledger, guest)
        })?;
        self.keys("2", "no connection", |text| has(text, "no connections"))?;
        self.still(&ledger)
    }

    /// The terminal is given back: in the guest, and here when the guest has gone.
    fn left(&mut self) -> Result<()> {
        self.keys("q", "the end", |text| has(text, "ended 0"))?;
        self.screen.is_left()?;
        let text = self.see("how the terminal is set", |text| has(text, " echoke"))?;
        has(&text, "this was there before")?;
        for setting in ["icanon", "echo", "isig", "icrnl", "opost", "onlcr"] {
            ensure!(text.split_whitespace().any(|its| its == setting), "no {setting}:\n{text}");
        }
        self.keys("typed", "what is typed", |text| has(text, "typed"))?;
        self.keys("\r", "what was read", |text| has(text, "read typed"))?;
        let status = self.screen.ended(LIMIT)?;
        ensure!(status.success(), "{status}: {}", self.screen.text());
        self.screen.is_given_back()
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

/// What the host has been sent on the first echo.
fn carried(ledger: &Ledger) -> Result<u64> {
    let mut mine = ledger.of_service(FIRST).filter(|c| c.live());
    let (Some(conn), None) = (mine.next(), mine.next()) else { bail!("not one connection at {FIRST}") };
    Ok(conn.rx_bytes)
}

/// The same on the screen.
fn total(text: &str) -> Result<f64> {
    let sheet = Sheet::read(text, &CONNECTIONS_120)?;
    read_bytes(&sheet.row("PORT", &FIRST.to_string())?.get("TX TOTAL")?)
}

/// In the table of latencies, how many of those there were.
fn count(text: &str, name: &str, wanted: usize) -> Result<()> {
    let sheet = Sheet::read(text, &[Column::Left("LATENCY", 17), Column::Right("COUNT")])?;
    sheet.row("LATENCY", name)?.expect("COUNT", &wanted.to_string())
}
