//! What each view must show, and when.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::ledger::{Conn, Ledger};
use hvsock_screen::sheet::{Column, Sheet, bytes, read_bytes, read_duration};
use hvsock_screen::shows::{self, CONNECTIONS_80, CONNECTIONS_120, Guest, LISTENERS_80, LISTENERS_120, has};
use hvsock_screen::times::{self, Span};

use super::{
    BACKLOG, FIRST, HELD, HELD_NS, LARGE, LIMIT, OPENED, OVERFLOW, SECOND, SMALL, STALL, Session,
    WAITING_BYTES,
};

impl Session<'_> {
    /// While traffic flows the screen follows it, never ahead of the host; frozen it stays; and views change.
    pub(super) fn live(&mut self) -> Result<()> {
        self.keys("2x", "the connections", |text| Sheet::read(text, CONNECTIONS_120).map(drop))?;
        self.stage.play("live")?;
        let mut seen = Vec::new();
        for _ in 0..2 {
            let before = carried(&self.stage.ledger()?)?;
            let text = self.see("bytes that flow", |text| {
                let row = total(text)?;
                ensure!(row >= before as f64 * 0.99, "{row} is less than the {before} of before");
                let more = seen.last().is_none_or(|last| row > *last);
                ensure!(more, "the sum does not grow: {row}");
                let sheet = Sheet::read(text, CONNECTIONS_120)?;
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
            let sheet = Sheet::read(text, CONNECTIONS_80)?;
            let rate = read_bytes(&sheet.row("PORT", &FIRST.to_string())?.get("RX/s")?)?;
            ensure!(rate > 0.0, "nothing per second");
            Ok(())
        })?;
        self.keys("1", "the overview", |text| {
            has(text, "Trends ─")?;
            ensure!(!text.lines().nth(1).unwrap_or_default().contains("  tx 0 B/s"), "nothing flows");
            Ok(())
        })?;
        self.keys("\t", "the view after it", |text| Sheet::read(text, CONNECTIONS_80).map(drop))?;
        self.size(LARGE)?;
        let row = |text: &str| -> Result<Vec<String>> {
            let sheet = Sheet::read(text, CONNECTIONS_120)?;
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
    pub(super) fn all_views(&mut self, guest: &Guest<'_>) -> Result<()> {
        let ledger = self.stage.ledger()?;
        self.keys("2", "each connection's numbers", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::connections(text, CONNECTIONS_120, &ledger, guest)
        })?;
        self.detail(&ledger)?;
        self.keys("1", "the sums", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::opens(text, &ledger, guest)?;
            shows::sums(text, &ledger, guest)
        })?;
        self.listeners(&ledger, LISTENERS_120)?;
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
            shows::connections(text, CONNECTIONS_80, &ledger, guest)
        })?;
        self.detail(&ledger)?;
        self.listeners(&ledger, LISTENERS_80)?;
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

    /// How old connections are, and how long what the host held up took, by the host's clock: `opened` was read when the first act was done, which
    /// began at `begun`.
    pub(super) fn times(&mut self, opened: &Ledger, begun: u64) -> Result<()> {
        let now = self.now()?;
        let ages = |text: &str, after| {
            let count = times::ages(text, CONNECTIONS_120, opened, now, after)?;
            ensure!(count == OPENED, "{count} ages");
            Ok(())
        };
        let text = self.keys("2", "how old each is", |text| ages(text, u64::MAX))?;
        ages(&text, self.now()?).with_context(|| format!("on the screen:\n{text}"))?;
        times::open(&text, CONNECTIONS_120, HELD, Span { from: HELD_NS, to: opened.host.now_ns - begun })?;
        self.keys("5", "how long the opens took", |text| {
            let longest = Span { from: HELD_NS, to: now - begun };
            times::latency(text, "connect", longest)?;
            times::latency(text, "host opens", longest)
        })
        .map(drop)
    }

    /// How long the sender has been waiting lies between what the host's clock says before and after.
    pub(super) fn waiting(&mut self, since: u64) -> Result<()> {
        let waits = |text: &str| {
            let sheet = Sheet::read(text, CONNECTIONS_120)?;
            read_duration(&sheet.row("PORT", &STALL.to_string())?.get("STALLED")?)
        };
        let before = (self.now()? - since) as f64;
        let text = self.keys("2", "how long a sender waits", |text| {
            let shown = waits(text)?;
            ensure!(shown >= before * 0.995, "{shown} ns, and it was {before} ns before");
            Ok(())
        })?;
        let after = (self.now()? - since) as f64;
        let shown = waits(&text)?;
        ensure!(shown <= after * 1.005, "{shown} ns is more than the {after} ns of afterwards:\n{text}");
        Ok(())
    }

    /// The host has read what was waiting, and the wait lasted so long.
    pub(super) fn released(&mut self, guest: &Guest<'_>, stall: Span) -> Result<()> {
        let ledger = self.stage.ledger()?;
        let sent = ledger.of_service(STALL).map(|c| c.rx_bytes).sum::<u64>();
        ensure!(sent > WAITING_BYTES, "the host has read {sent} bytes");
        self.keys("2", "what the host has read", |text| {
            shows::header(text, &ledger, guest, LARGE.1)?;
            shows::connections(text, CONNECTIONS_120, &ledger, guest)?;
            let sheet = Sheet::read(text, CONNECTIONS_120)?;
            let row = sheet.row("PORT", &STALL.to_string())?;
            row.expect("TX TOTAL", &bytes(sent))?;
            row.expect("STALLED", "·")
        })?;
        self.keys("5", "the wait that has ended", |text| {
            count(text, "send stall", 1)?;
            times::latency(text, "send stall", stall)
        })?;
        self.still(&ledger)
    }

    /// All is gone.
    pub(super) fn closed(&mut self, guest: &Guest<'_>) -> Result<()> {
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
    pub(super) fn left(&mut self) -> Result<()> {
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
}

/// What the host has been sent on the first echo.
fn carried(ledger: &Ledger) -> Result<u64> {
    let mut mine = ledger.of_service(FIRST).filter(|c| c.live());
    let (Some(conn), None) = (mine.next(), mine.next()) else { bail!("not one connection at {FIRST}") };
    Ok(conn.rx_bytes)
}

/// The same on the screen.
fn total(text: &str) -> Result<f64> {
    let sheet = Sheet::read(text, CONNECTIONS_120)?;
    read_bytes(&sheet.row("PORT", &FIRST.to_string())?.get("TX TOTAL")?)
}

/// In the table of latencies, how many of those there were.
fn count(text: &str, name: &str, wanted: usize) -> Result<()> {
    let sheet = Sheet::read(text, &[Column::Left("LATENCY", 17), Column::Right("COUNT")])?;
    sheet.row("LATENCY", name)?.expect("COUNT", &wanted.to_string())
}
