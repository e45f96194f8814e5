//! `hvsock-top` without a command, on a terminal: the Snapshot as a table that is redrawn in place.
//!
//! Stands in for the terminal interface until that exists, and already keeps its promises: what is unknown is a dash, the trust line is
//! always there, and the terminal is restored however the program ends.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use crossterm::{
    cursor,
    event::{self, Event, KeyCode, KeyModifiers},
    execute, terminal,
};

use super::{
    Failure,
    input::{Input, Origin},
    signals::Stop,
};
use crate::model::{Connection, Direction, Snapshot, State};

const INTERVAL: Duration = Duration::from_secs(1);
/// How long a key may wait for its answer.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shows Snapshots until told to stop. When a recording is over, its last one stays.
pub(super) fn run(origin: &Origin<'_>) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::no_terminal());
    }
    let stop = Stop::listen()?;
    let mut input = Input::open(origin, INTERVAL)?;
    let screen = Screen::enter()?;
    let mut rates = Rates::default();
    loop {
        let due = input.due()?;
        while due.is_none_or(|due| Instant::now() < due) {
            let left = due.map_or(PATIENCE, |due| due.saturating_duration_since(Instant::now()));
            if stop.is_asked() || quit_key(PATIENCE.min(left))? {
                return Ok(());
            }
        }
        // With a recording faster than it is drawn there may be no waiting at all.
        if stop.is_asked() || quit_key(Duration::ZERO)? {
            return Ok(());
        }
        let Some(snapshot) = input.snapshot()? else { continue };
        let (width, height) = terminal::size().unwrap_or((80, 24));
        screen.draw(&page(&snapshot, &rates.update(&snapshot), usize::from(width), usize::from(height)))?;
    }
}

fn quit_key(patience: Duration) -> Result<bool, Failure> {
    let read = || -> io::Result<bool> {
        if !event::poll(patience)? {
            return Ok(false);
        }
        Ok(match event::read()? {
            Event::Key(key) => {
                matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                    || (key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL))
            }
            _ => false,
        })
    };
    read().map_err(|e| Failure::output(&e))
}

/// The terminal in raw mode on its alternate screen; dropping it, also in a panic, puts it back.
struct Screen {
    out: io::Stdout,
}

impl Screen {
    fn enter() -> Result<Self, Failure> {
        let enter = || {
            terminal::enable_raw_mode()?;
            execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)
        };
        let screen = Self { out: io::stdout() };
        enter().map_err(|e| Failure::output(&e))?;
        Ok(screen)
    }

    /// Writes a whole page in one go, over the last one.
    fn draw(&self, lines: &[String]) -> Result<(), Failure> {
        let mut text = String::from("\x1b[H");
        for (number, line) in lines.iter().enumerate() {
            if number > 0 {
                text.push_str("\r\n");
            }
            text.push_str(line);
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut stdout = self.out.lock();
        stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|e| Failure::output(&e))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// Bytes per second of each connection, from one Snapshot to the next.
#[derive(Default)]
struct Rates {
    last: HashMap<String, (u64, u64)>,
}

type Rate = HashMap<String, (f64, f64)>;

impl Rates {
    fn update(&mut self, snapshot: &Snapshot) -> Rate {
        let seconds = snapshot.interval_ns.map(|ns| ns as f64 / 1e9);
        let now: HashMap<_, _> = snapshot
            .connections
            .iter()
            .filter_map(|c| Some((c.id.clone(), (c.tx.bytes?, c.rx.bytes?))))
            .collect();
        let rates = now
            .iter()
            .filter_map(|(id, (tx, rx))| {
                let (tx0, rx0) = self.last.get(id).copied().unwrap_or((0, 0));
                let seconds = seconds.filter(|s| *s > 0.0)?;
                Some((
                    id.clone(),
                    (tx.saturating_sub(tx0) as f64 / seconds, rx.saturating_sub(rx0) as f64 / seconds),
                ))
            })
            .collect();
        self.last = now;
        rates
    }
}

/// The lines of one page, none wider than `width`, no more than `height`.
fn page(snapshot: &Snapshot, rates: &Rate, width: usize, height: usize) -> Vec<String> {
    let number = |n: Option<u64>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let mut lines = Vec::new();
    let totals = &snapshot.totals;
    let from = &snapshot.opens.from_host;
    let to = &snapshot.opens.to_host;
    lines.push(format!(
        "hvsock-top  {}  Linux {}  {}",
        snapshot.host.hostname, snapshot.host.kernel, snapshot.time
    ));
    lines.push(format!(
        "connections {}   opened: from host {}, to host {}   backlog drops {}   timed out {}   closed {}",
        number(totals.live_connections),
        number(from.ok),
        number(to.ok),
        number(from.backlog_full),
        number(to.timed_out),
        number(totals.closed_connections),
    ));
    lines.push(format!(
        "sent {}   received {}   stalls {}   ring memory {}   {}",
        totals.traffic.tx_bytes.map_or_else(|| "–".to_owned(), |n| bytes(n as f64)),
        totals.traffic.rx_bytes.map_or_else(|| "–".to_owned(), |n| bytes(n as f64)),
        number(totals.traffic.stalls),
        totals.ring_memory_bytes.map_or_else(|| "–".to_owned(), |n| bytes(n as f64)),
        trust(snapshot),
    ));
    lines.push(String::new());
    lines.push(format!(
        "{:>5} {:<9} {:>10} {:>10} {:<11} {:<18} {:>11} {:>11} {:>9} {:>6} {:>7}",
        "RELID",
        "DIRECTION",
        "LOCAL",
        "REMOTE",
        "STATE",
        "PROCESS",
        "SENT/s",
        "RECEIVED/s",
        "OUT RING",
        "STALLS",
        "AGE"
    ));
    let mut connections: Vec<_> = snapshot.connections.iter().collect();
    let rate_of = |c: &Connection| rates.get(&c.id).copied();
    connections.sort_by(|a, b| {
        let busy = |c: &Connection| rate_of(c).map_or(0.0, |(tx, rx)| tx + rx);
        busy(b).total_cmp(&busy(a)).then(a.relid.cmp(&b.relid))
    });
    let room = height.saturating_sub(lines.len() + 1);
    for connection in connections.iter().take(room) {
        lines.push(row(connection, rate_of(connection)));
    }
    let hidden = connections.len().saturating_sub(room);
    lines.push(if hidden > 0 { format!("… and {hidden} more   q quits") } else { "q quits".to_owned() });
    lines.truncate(height);
    lines.into_iter().map(|line| line.chars().take(width).collect()).collect()
}

/// Whether anything was missed.
fn trust(snapshot: &Snapshot) -> String {
    let accounting = &snapshot.accounting;
    // A recording may say anything.
    let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
    let seen = accounting.hooks.values().fold(0_u64, |sum, h| sum.saturating_add(h.seen));
    if accounting.reconciled {
        return format!("trust: all {seen} events accounted for");
    }
    let mut text = format!("TRUST: of {seen} events");
    for (name, hook) in &accounting.hooks {
        let gone = sum(&[hook.ring_full, hook.map_full, hook.unpaired, hook.missed.unwrap_or(0)]);
        if gone > 0 {
            let _ = write!(text, " {gone} missed at {name}");
        }
    }
    text
}

fn row(connection: &Connection, rate: Option<(f64, f64)>) -> String {
    let direction = match connection.direction {
        Some(Direction::FromHost) => "from host",
        Some(Direction::ToHost) => "to host",
        None => "–",
    };
    let state = match connection.state {
        Some(State::Opening) => "opening",
        Some(State::Established) => "established",
        Some(State::Closing) => "closing",
        Some(State::Rescinded) => "rescinded",
        Some(State::Closed) => "closed",
        None => "–",
    };
    let process = match (&connection.comm, connection.pid) {
        (Some(comm), Some(pid)) => format!("{comm}[{pid}]"),
        _ => "–".to_owned(),
    };
    let ring = match (connection.rings.outgoing.used_bytes, connection.rings.outgoing.size_bytes) {
        (Some(used), Some(size)) if size > 0 => format!("{:.0} %", f64::from(used) * 100.0 / f64::from(size)),
        _ => "–".to_owned(),
    };
    let number = |n: Option<u32>| n.map_or_else(|| "–".to_owned(), |n| n.to_string());
    let per_second = |pick: fn((f64, f64)) -> f64| rate.map_or_else(|| "–".to_owned(), |r| bytes(pick(r)));
    format!(
        "{:>5} {direction:<9} {:>10} {:>10} {state:<11} {process:<18} {:>11} {:>11} {ring:>9} {:>6} {:>7}",
        connection.relid,
        number(connection.local_port),
        number(connection.remote_port),
        per_second(|r| r.0),
        per_second(|r| r.1),
        connection.tx.stalls.map_or_else(|| "–".to_owned(), |n| n.to_string()),
        connection.age_ns.map_or_else(|| "–".to_owned(), |ns| format!("{} s", ns / 1_000_000_000)),
    )
}

/// A number of bytes as people read it.
fn bytes(n: f64) -> String {
    let mut n = n;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if n < 1024.0 {
            return if unit == "B" { format!("{n:.0} B") } else { format!("{n:.1} {unit}") };
        }
        n /= 1024.0;
    }
    format!("{n:.1} TiB")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_read_well() {
        assert_eq!(bytes(0.0), "0 B");
        assert_eq!(bytes(1024.0), "1.0 KiB");
        assert_eq!(bytes(1.5 * 1024.0 * 1024.0), "1.5 MiB");
    }
}
