//! hvsock-top's views against the ledger: each number on the screen must be the host's. For times at which nothing moves.

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::ledger::{Conn, Direction, Ledger};

use crate::sheet::{Column, Row, Sheet, bytes, percent};

/// The columns of the table of connections on a terminal of 230 columns.
pub const CONNECTIONS_230: &[Column] = &[
    Column::Left("STATE", 10),
    Column::Left("PROCESS", 12),
    Column::Left("HOST", 4),
    Column::Right("PORT"),
    Column::Right("TX/s"),
    Column::Right("RX/s"),
    Column::Left("OUT RING", 9),
    Column::Left("IN RING", 9),
    Column::Right("STALLS"),
    Column::Right("STALLED"),
    Column::Right("OPEN"),
    Column::Right("AGE"),
    Column::Right("TX TOTAL"),
    Column::Right("RX TOTAL"),
    Column::Right("PEER PORT"),
    Column::Right("RELID"),
];

/// The same on one of 120.
pub const CONNECTIONS_120: &[Column] = CONNECTIONS_230.split_at(14).0;

/// The same on one of 80.
pub const CONNECTIONS_80: &[Column] = &[
    Column::Left("STATE", 10),
    Column::Left("PROCESS", 12),
    Column::Left("HOST", 4),
    Column::Right("PORT"),
    Column::Right("TX/s"),
    Column::Right("RX/s"),
    Column::Left("OUT RING", 9),
    Column::Right("STALLS"),
    Column::Right("AGE"),
];

/// The columns of the table of listeners on a terminal of 120 columns.
pub const LISTENERS_120: &[Column] = &[
    Column::Right("PORT"),
    Column::Left("PROCESS", 14),
    Column::Left("BACKLOG", 10),
    Column::Right("NOW"),
    Column::Right("PEAK"),
    Column::Right("LIMIT"),
    Column::Right("ACCEPTED"),
    Column::Right("DROPPED"),
    Column::Right("NEVER ACCEPTED"),
    Column::Right("NO LISTENER"),
    Column::Right("LIVE"),
    Column::Right("TX TOTAL"),
    Column::Right("RX TOTAL"),
];

/// Those that are there on any terminal.
pub const LISTENERS_80: &[Column] = LISTENERS_120.split_at(8).0;

/// The columns of the table of services in the overview on a terminal of 120 columns.
const SERVICES_120: &[Column] = &[
    Column::Right("SERVICE"),
    Column::Left("HOST", 4),
    Column::Right("LIVE"),
    Column::Right("FAILED"),
    Column::Right("STALLS"),
    Column::Right("TX TOTAL"),
    Column::Right("RX TOTAL"),
];

/// What the host's ledger does not know about a connection, or an open: what the guest did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Guest<'a> {
    /// Ports of the guest where somebody listens, or did.
    pub listening: &'a [u32],
    /// Connections that a listener was closed on before it accepted them.
    pub never_accepted: usize,
    /// A service with one connection on which a sender has waited for room: its port, how often, and whether one waits now.
    pub waits: Option<(u32, u64, bool)>,
    /// Bytes that were sent on that connection and that the host has not read.
    pub unread: u64,
    /// Whether its kernel says of every probe what it has missed.
    pub tells: bool,
}

impl Guest<'_> {
    fn stalls(&self, port: u32) -> u64 {
        self.waits.filter(|(its, _, _)| *its == port).map_or(0, |(_, times, _)| times)
    }

    fn sent(&self, conn: &Conn) -> Option<u64> {
        match self.waits {
            Some((port, _, true)) if port == conn.service() => Some(conn.rx_bytes + self.unread),
            _ => (conn.out_used == 0).then_some(conn.rx_bytes),
        }
    }
}

/// Connections that are open.
pub fn alive(ledger: &Ledger) -> impl Iterator<Item = &Conn> + Clone {
    ledger.conns.iter().filter(|c| c.live() && c.opened_ns > 0)
}

/// Offers for listeners whose backlog was full.
pub fn dropped(ledger: &Ledger, guest: &Guest<'_>) -> usize {
    refused(ledger).filter(|c| guest.listening.contains(&c.guest_port)).count()
}

fn refused(ledger: &Ledger) -> impl Iterator<Item = &Conn> {
    ledger.conns.iter().filter(|c| c.dir == Direction::FromHost && c.refused)
}

fn opened(ledger: &Ledger, direction: Direction) -> usize {
    ledger.conns.iter().filter(|c| c.dir == direction && c.opened_ns > 0 && !c.refused).count()
}

fn ignored(ledger: &Ledger) -> u64 {
    ledger.ports.iter().map(|p| p.ignored).sum()
}

/// Both rings, each with a page of header, in a power of two of pages.
fn memory(conn: &Conn) -> u64 {
    ((conn.out_size + conn.in_size) / 4096 + 2).next_power_of_two() * 4096
}

fn ring_memory(ledger: &Ledger) -> String {
    bytes(alive(ledger).map(memory).sum())
}

/// Fails unless the text has this in it.
pub fn has(text: &str, what: &str) -> Result<()> {
    ensure!(text.contains(what), "\"{what}\" is not there");
    Ok(())
}

/// The second line, as far as there is room for it in so many columns.
pub fn header(text: &str, ledger: &Ledger, guest: &Guest<'_>, columns: u16) -> Result<()> {
    let line = text.lines().nth(1).context("no second line")?;
    has(line, &format!(" conns {} ", alive(ledger).count()))?;
    has(line, "  tx 0 B/s  rx 0 B/s ")?;
    let dropped = dropped(ledger, guest);
    has(line, &format!(" drops {} ", dropped + guest.never_accepted))?;
    has(line, "  opens 0/s ")?;
    // A kernel that does not say of every probe whether it missed something leaves it at what is known.
    let none = match (guest.tells, columns) {
        (true, _) => "✔ none missed",
        (false, ..100) => "✔ none known",
        (false, _) => "✔ none known missed",
    };
    ensure!(line.trim_end().ends_with(none), "\"{none}\" does not end the line: {line}");
    if columns < 120 {
        return Ok(());
    }
    has(line, &format!(" failed {} ", refused(ledger).count() as u64 + ignored(ledger)))?;
    has(line, &format!(" stalled {} ", usize::from(guest.waits.is_some_and(|(_, _, now)| now))))?;
    has(line, &format!(" ring memory {} ", ring_memory(ledger)))
}

/// Every connection of the ledger has its row, and no other is there.
pub fn connections(text: &str, columns: &[Column], ledger: &Ledger, guest: &Guest<'_>) -> Result<()> {
    let sheet = Sheet::read(text, columns)?;
    let mut rows: Vec<Row<'_>> = sheet.rows().collect();
    let mut count = 0;
    for conn in alive(ledger) {
        count += 1;
        // Where a port has several, nothing but their numbers tells them apart: they must all be there.
        let same = |row: &Row<'_>| row.expect("PORT", &conn.service().to_string()).is_ok();
        let mut objection = None;
        let found = rows.iter().position(|row| match connection(row, &sheet, conn, guest) {
            Ok(()) => true,
            Err(error) => {
                if same(row) {
                    objection = Some(error);
                }
                false
            }
        });
        match (found, objection) {
            (Some(at), _) => drop(rows.remove(at)),
            (None, Some(error)) => return Err(error.context(conn.line.clone())),
            (None, None) => bail!("no row for {}", conn.line),
        }
    }
    // What follows the table is not one of its rows.
    let more =
        rows.iter().filter(|row| row.get("HOST").is_ok_and(|its| its == "to" || its == "from")).count();
    ensure!(more == 0, "{} rows, {count} connections", count + more);
    Ok(())
}

fn connection(row: &Row<'_>, sheet: &Sheet, conn: &Conn, guest: &Guest<'_>) -> Result<()> {
    let (host, peer) = match conn.dir {
        Direction::FromHost => ("from", conn.host_port),
        Direction::ToHost => ("to", conn.guest_port),
    };
    let expect =
        |title: &str, wanted: &str| if sheet.has(title) { row.expect(title, wanted) } else { Ok(()) };
    // The gauge is a bar and a number.
    let gauge = |title: &str, wanted: String| -> Result<()> {
        if !sheet.has(title) {
            return Ok(());
        }
        let got = row.get(title)?;
        let got = got.split_whitespace().last();
        ensure!(got == Some(wanted.as_str()), "{title}: expected {wanted}, got {got:?}");
        Ok(())
    };
    expect("PORT", &conn.service().to_string())?;
    expect("RELID", &conn.relid.to_string())?;
    expect("STATE", "estab")?;
    expect("HOST", host)?;
    expect("PEER PORT", &peer.to_string())?;
    expect("TX/s", "0 B")?;
    expect("RX/s", "0 B")?;
    expect("STALLS", &guest.stalls(conn.service()).to_string())?;
    if let Some(sent) = guest.sent(conn) {
        expect("TX TOTAL", &bytes(sent))?;
    }
    expect("RX TOTAL", &bytes(conn.tx_bytes))?;
    gauge("OUT RING", percent(conn.out_used, conn.out_size - 72))?;
    gauge("IN RING", percent(conn.in_used, conn.in_size))
}

/// The row of a listener: whom it has accepted is for the guest to say.
pub fn listener(
    text: &str,
    columns: &[Column],
    ledger: &Ledger,
    port: u32,
    accepted: usize,
    backlog: u32,
) -> Result<()> {
    let mine = || ledger.of_service(port);
    let admitted = mine().filter(|c| c.opened_ns > 0 && !c.refused).count();
    let sum = |figure: fn(&Conn) -> u64| bytes(mine().map(figure).sum());
    let sheet = Sheet::read(text, columns)?;
    let row = sheet.row("PORT", &port.to_string())?;
    let wanted = [
        ("NOW", (admitted - accepted).to_string()),
        ("PEAK", admitted.to_string()),
        ("LIMIT", backlog.to_string()),
        ("ACCEPTED", accepted.to_string()),
        ("DROPPED", mine().filter(|c| c.refused).count().to_string()),
        ("NEVER ACCEPTED", "0".to_owned()),
        ("NO LISTENER", "0".to_owned()),
        ("LIVE", mine().filter(|c| c.live() && c.opened_ns > 0).count().to_string()),
        ("TX TOTAL", sum(|c| c.rx_bytes)),
        ("RX TOTAL", sum(|c| c.tx_bytes)),
    ];
    wanted
        .iter()
        .filter(|(title, _)| sheet.has(title))
        .try_for_each(|(title, wanted)| row.expect(title, wanted))
}

/// In the overview, the opens by outcome.
pub fn opens(text: &str, ledger: &Ledger, guest: &Guest<'_>) -> Result<()> {
    let dropped = dropped(ledger, guest);
    let unheard = refused(ledger).count() - dropped;
    let some = |count: u64, name: &str| if count > 0 { format!("   {count} {name}") } else { String::new() };
    let (from, to) = (opened(ledger, Direction::FromHost), opened(ledger, Direction::ToHost));
    for line in [
        format!(
            "from host {from} ok{}{}",
            some(dropped as u64, "backlog full"),
            some(unheard as u64, "no listener")
        ),
        format!("to host   {to} ok{}", some(ignored(ledger), "timed out")),
    ] {
        let mut after = text.lines().filter_map(|its| its.split_once(&line).map(|(_, after)| after));
        let after = after.next().with_context(|| format!("\"{line}\" is not there"))?;
        // What stands beside it stands apart.
        ensure!(after.is_empty() || after.starts_with("    "), "more than \"{line}\": {after}");
    }
    Ok(())
}

/// In the overview on a terminal of 120 columns, the ends, memory, stalls, and each service's numbers.
pub fn sums(text: &str, ledger: &Ledger, guest: &Guest<'_>) -> Result<()> {
    let closed = ledger.conns.iter().filter(|c| c.opened_ns > 0 && !c.refused && !c.live()).count();
    // Whether the guest or the host is done first with a connection that both close is a matter of chance.
    let after = |name: &str| -> Result<usize> {
        let found = text.split_once(name).and_then(|(_, after)| after.split_whitespace().next());
        found.and_then(|n| n.parse().ok()).with_context(|| format!("no number after {name}"))
    };
    let ends = after("  graceful ")? + after("  by host ")?;
    ensure!(ends == closed, "{closed} have ended, {ends} gracefully or by the host");
    has(text, &format!("closed {closed}  graceful "))?;
    has(text, "  timed out 0 ")?;
    has(text, &format!("rings take {}  channels ", ring_memory(ledger)))?;
    has(text, &format!("stalls {}  for ", guest.waits.map_or(0, |(_, times, _)| times)))?;
    let sheet = Sheet::read(text, SERVICES_120)?;
    for port in &ledger.ports {
        let name = port.port.to_string();
        let conns = || ledger.conns.iter().filter(|c| c.dir == port.dir && c.service() == port.port);
        let failed = conns().filter(|c| c.refused).count() as u64 + port.ignored;
        if conns().next().is_none() && failed == 0 {
            ensure!(sheet.row("SERVICE", &name).is_err(), "nobody has been at {name}");
            continue;
        }
        let row = sheet.row("SERVICE", &name)?;
        let check = || -> Result<()> {
            row.expect("HOST", if port.dir == Direction::ToHost { "to" } else { "from" })?;
            row.expect("LIVE", &conns().filter(|c| c.live() && c.opened_ns > 0).count().to_string())?;
            row.expect("FAILED", &failed.to_string())?;
            row.expect("STALLS", &guest.stalls(port.port).to_string())?;
            let sent: Option<u64> = conns().map(|c| guest.sent(c)).sum();
            row.expect("TX TOTAL", &bytes(sent.context("what has not been read is not known")?))?;
            row.expect("RX TOTAL", &bytes(conns().map(|c| c.tx_bytes).sum()))
        };
        check().with_context(|| format!("the service at {name}"))?;
    }
    Ok(())
}

/// In the view of lookups, how many there were, and what is in the tables: whoever is connected, and of those bound who listens and who
/// connected from the guest.
pub fn lookup(text: &str, ledger: &Ledger, guest: &Guest<'_>) -> Result<()> {
    let opened = opened(ledger, Direction::FromHost) + opened(ledger, Direction::ToHost);
    let alive_of = |dir| alive(ledger).filter(|c| c.dir == dir).count();
    let connected = alive(ledger).count();
    let bound = alive_of(Direction::ToHost) + guest.listening.len();
    for (name, values) in [
        // Each open looks for a socket, also in vain; one whose backlog is full is found first.
        ("lookups", vec![opened + refused(ledger).count()]),
        ("in successful opens", vec![opened]),
        ("live connections", vec![connected]),
        ("listeners", vec![guest.listening.len()]),
        ("channels in use", vec![connected]),
        ("sockets", vec![bound, connected]),
    ] {
        let mut found = text.lines().filter_map(|line| {
            let (_, after) = line.split_once(&format!("{name}  "))?;
            let numbers: Option<Vec<usize>> =
                after.split_whitespace().take(values.len()).map(|word| word.parse().ok()).collect();
            numbers.filter(|numbers| numbers.len() == values.len())
        });
        let shown = found.next().with_context(|| format!("{name} is not there"))?;
        ensure!(shown == values, "{name}: expected {values:?}, the screen shows {shown:?}");
    }
    Ok(())
}

/// The counts of the one connection of that service, in its own view.
pub fn detail(text: &str, ledger: &Ledger, port: u32) -> Result<()> {
    let mut mine = ledger.of_service(port).filter(|c| c.live());
    let conn = mine.next().with_context(|| format!("no connection at {port}"))?;
    has(text, &format!("guest port {}  host port {}  estab", conn.guest_port, conn.host_port))?;
    has(text, &format!("  channel {}  ", conn.relid))?;
    let traffic = |n: u64, packets: u64| format!("{} in packets {packets} ", bytes(n));
    has(text, &format!("sent      {}", traffic(conn.rx_bytes, conn.rx_packets)))?;
    has(text, &format!("received  {}", traffic(conn.tx_bytes, conn.tx_packets)))?;
    has(text, &format!("to host   {} of {}, most ", bytes(conn.out_used), bytes(conn.out_size)))?;
    has(text, &format!("from host {} of {}, most ", bytes(conn.in_used), bytes(conn.in_size)))?;
    has(text, &format!("rings take {}", bytes(memory(conn))))
}
