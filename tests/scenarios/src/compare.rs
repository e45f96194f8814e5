//! hvsock-top against the ledger: every figure that both have must be the same, exactly.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::family::Family;
use hvsock_guest::ledger::{Conn, Direction, Ledger, State};
use hvsock_guest::release::{self, COUNTS_SKIPPED};
use serde_json::Value;

use crate::snapshot::{Snapshot, number};

const PAGE: u64 = 4096;

/// So many differing connections are shown, others counted.
const SHOWN: usize = 4;

/// The connections of the Snapshot are those alive in the ledger, each with the ledger's figures.
pub(crate) fn live(snapshot: &Snapshot, ledger: &Ledger) -> Result<()> {
    let seen = snapshot.connections()?;
    let wanted: Vec<&Conn> = ledger.live().filter(|c| c.opened_ns > 0).collect();
    let mut wrong = Vec::new();
    for conn in &wanted {
        if let Err(error) = find(seen, conn).and_then(|value| figures(value, conn)) {
            wrong.push(format!("{error:#}\n  ledger: {}", conn.line));
        }
    }
    if seen.len() != wanted.len() {
        wrong.push(format!("connections: expected {}, got {}", wanted.len(), seen.len()));
        for value in seen.iter().filter(|v| !wanted.iter().any(|c| same(v, c))).take(SHOWN) {
            wrong.push(format!("not alive in the ledger: {value}"));
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let more = wrong.len().saturating_sub(SHOWN);
    wrong.truncate(SHOWN);
    if more > 0 {
        wrong.push(format!("… and {more} more"));
    }
    bail!("{}", wrong.join("\n"))
}

/// The one connection of the Snapshot that is this one of the ledger.
pub(crate) fn find<'a>(seen: &'a [Value], conn: &Conn) -> Result<&'a Value> {
    let mut matching = seen.iter().filter(|v| same(v, conn));
    match (matching.next(), matching.next()) {
        (Some(value), None) => Ok(value),
        (None, _) => bail!("a connection of the ledger is missing"),
        (Some(a), Some(b)) => bail!("a connection is there twice: {a} and {b}"),
    }
}

fn same(value: &Value, conn: &Conn) -> bool {
    let direction = match conn.dir {
        Direction::FromHost => "from_host",
        Direction::ToHost => "to_host",
    };
    value["relid"] == conn.relid
        && value["local_port"] == conn.guest_port
        && value["remote_port"] == conn.host_port
        && value["direction"] == direction
        && value["service_guid"] == guid(conn.service())
}

/// All figures of one connection. What is still in a ring has been sent, but not received: then the ring's fill must
/// agree, and the scenario knows what was sent.
pub(crate) fn figures(value: &Value, conn: &Conn) -> Result<()> {
    let mut wanted = vec![("rings/out/size_bytes", conn.out_size), ("rings/in/size_bytes", conn.in_size)];
    if conn.out_used == 0 {
        wanted.extend([("tx/bytes", conn.rx_bytes), ("tx/packets", conn.rx_packets)]);
    } else {
        wanted.push(("rings/out/used_bytes", conn.out_used));
    }
    if conn.in_used == 0 {
        wanted.extend([("rx/bytes", conn.tx_bytes), ("rx/packets", conn.tx_packets)]);
    }
    wanted.extend([("rings/memory_bytes", PAGE << order(conn)), ("rings/alloc_order", order(conn).into())]);
    // A ring in which less is free than a packet of one byte takes, and one of none, the FIN, is full for hv_sock; for AF_HYPERV one that
    // has no room for a packet of a page.
    let reserved = if Family::current() == Family::Vsock { 72 } else { 4128 };
    wanted.push(("rings/out/reserved_bytes", reserved));
    let mut wrong = String::new();
    // Interrupts that come together make one callback.
    let callbacks = number(value, "callbacks/count")?;
    if callbacks > conn.irqs || (conn.irqs > 0 && callbacks == 0) {
        write!(
            wrong,
            "callbacks/count: expected 1 to {} (the host's interrupts), got {callbacks}; ",
            conn.irqs
        )?;
    }
    for (path, expected) in wanted {
        match number(value, path) {
            Ok(got) if got == expected => {}
            Ok(got) => write!(wrong, "{path}: expected {expected}, got {got}; ")?,
            Err(error) => write!(wrong, "{path}: expected {expected}, but {error}; ")?,
        }
    }
    ensure!(wrong.is_empty(), "{}\n  got:    {value}", wrong.trim_end_matches("; "));
    Ok(())
}

/// Both rings and their header pages are one block of a power of two of pages.
fn order(conn: &Conn) -> u32 {
    ((conn.out_size + conn.in_size) / PAGE + 2).next_power_of_two().trailing_zeros()
}

/// The GUID of a service at this port, as hv_sock makes it.
pub(crate) fn guid(port: u32) -> String {
    format!("{port:08x}-facb-11e6-bd58-64006a7986d3")
}

/// The sums are those over all connections of the ledger, the opens those it has seen opened, the closes those gone.
/// Traffic that is still in a ring would make a difference: for when all has been read.
pub(crate) fn totals(snapshot: &Snapshot, ledger: &Ledger) -> Result<()> {
    let opened = |dir| ledger.conns.iter().filter(|c| c.opened_ns > 0 && c.dir == dir).count() as u64;
    let gone = ledger.conns.iter().filter(|c| c.opened_ns > 0 && c.state == State::Gone).count() as u64;
    let live = ledger.live().filter(|c| c.opened_ns > 0).count() as u64;
    let sum = |figure: fn(&Conn) -> u64| ledger.conns.iter().map(figure).sum::<u64>();
    let wanted = [
        ("totals/tx_bytes", sum(|c| c.rx_bytes)),
        ("totals/tx_packets", sum(|c| c.rx_packets)),
        ("totals/rx_bytes", sum(|c| c.tx_bytes)),
        ("totals/rx_packets", sum(|c| c.tx_packets)),
        ("totals/live_connections", live),
        ("opens/from_host/ok", opened(Direction::FromHost)),
        ("opens/to_host/ok", opened(Direction::ToHost)),
    ];
    for (path, expected) in wanted {
        expect(snapshot, path, expected)?;
    }
    let open = ledger.live().filter(|c| c.opened_ns > 0);
    expect(snapshot, "totals/ring_memory_bytes", open.map(|c| PAGE << order(c)).sum())?;
    let closes = snapshot.sum("closes")?;
    let all = snapshot.at("closes");
    ensure!(closes == gone, "closes: expected {gone} in all, got {closes}: {all:?}");
    services(snapshot, ledger)?;
    by_port(snapshot)
}

/// What connections carried, by port: counted apart from the totals, it comes to the same.
pub(crate) fn by_port(snapshot: &Snapshot) -> Result<()> {
    let ports = snapshot.list("ports")?;
    for name in [
        "tx_bytes",
        "rx_bytes",
        "tx_packets",
        "rx_packets",
        "callbacks",
        "stalls",
        "stall_ns",
        "eagain",
        "short_writes",
        "failed_writes",
        "ring_invalid",
        "wait_ns",
    ] {
        let sum = ports.iter().map(|port| number(port, name)).sum::<Result<u64>>()?;
        let total = snapshot.number(&format!("totals/{name}"))?;
        ensure!(sum == total, "{name}: {total} in all, {sum} at all ports");
    }
    for port in ports {
        let listens = |l: &&Value| port["direction"] == "from_host" && l["port"] == port["port"];
        let listener = snapshot.list("listeners")?.iter().find(listens);
        let accepts = listener
            .map_or((&Value::Null, &Value::Null), |l| (&l["accepted"], &l["drops"]["never_accepted"]));
        let told = (&port["accepted"], &port["never_accepted"]);
        ensure!(listener.is_none() || told == accepts, "accepts: expected {accepts:?}, got {port}");
        ensure!(
            port["direction"] == "from_host" || (told.0.is_null() && told.1.is_null()),
            "accepts: {port}"
        );
    }
    Ok(())
}

/// The same for each service's port.
fn services(snapshot: &Snapshot, ledger: &Ledger) -> Result<()> {
    let port_of = |conn: &Conn| match conn.dir {
        Direction::FromHost => ("from_host", conn.guest_port),
        Direction::ToHost => ("to_host", conn.host_port),
    };
    let all: BTreeSet<_> = ledger.conns.iter().filter(|c| c.opened_ns > 0).map(port_of).collect();
    for service @ (direction, port) in all {
        let conns = || ledger.conns.iter().filter(|c| c.opened_ns > 0 && port_of(c) == service);
        let sum = |figure: fn(&Conn) -> u64| conns().map(figure).sum::<u64>();
        let gone = conns().filter(|c| c.state == State::Gone).count() as u64;
        let seen = snapshot.list("ports")?.iter().find(|p| p["port"] == port && p["direction"] == direction);
        let seen = seen.with_context(|| format!("ports: {direction} {port} is missing"))?;
        let wanted = [
            ("offers/ok", gone + conns().filter(|c| c.live()).count() as u64),
            ("live", conns().filter(|c| c.live()).count() as u64),
            ("closed", gone),
            ("tx_bytes", sum(|c| c.rx_bytes)),
            ("tx_packets", sum(|c| c.rx_packets)),
            ("rx_bytes", sum(|c| c.tx_bytes)),
            ("rx_packets", sum(|c| c.tx_packets)),
        ];
        expect_of(seen, &wanted).with_context(|| format!("ports: {direction} {port}"))?;
    }
    Ok(())
}

/// These numbers.
pub(crate) fn expect_all(snapshot: &Snapshot, wanted: &[(&str, u64)]) -> Result<()> {
    wanted.iter().try_for_each(|(path, expected)| expect(snapshot, path, *expected))
}

/// These numbers of one connection.
pub(crate) fn expect_of(value: &Value, wanted: &[(&str, u64)]) -> Result<()> {
    for (path, expected) in wanted {
        let got = number(value, path)?;
        ensure!(got == *expected, "{path}: expected {expected}, got {got} in {value}");
    }
    Ok(())
}

/// A time that something imposed: within 10 % or 2 ms.
pub(crate) fn near(what: &str, got: u64, imposed: u64) -> Result<()> {
    let slack = (imposed / 10).max(2_000_000);
    let ms = |ns: u64| ns as f64 / 1e6;
    ensure!(
        got.abs_diff(imposed) <= slack,
        "{what}: expected {:.3} ms within {:.3} ms, got {:.3} ms",
        ms(imposed),
        ms(slack),
        ms(got)
    );
    Ok(())
}

/// One number.
pub(crate) fn expect(snapshot: &Snapshot, path: &str, expected: u64) -> Result<()> {
    let got = snapshot.number(path)?;
    let around = path.rsplit_once('/').and_then(|(object, _)| snapshot.at(object));
    let around = around.map_or_else(String::new, |object| format!(" in {object}"));
    ensure!(got == expected, "{path}: expected {expected}, got {got}{around}");
    Ok(())
}

/// Whether this kernel tells how often it did not run an event's program: of trampolines always, of tracepoints and kprobes since 6.7.
pub(crate) fn counts_missed(snapshot: &Snapshot, event: &str) -> Result<bool> {
    let probe = snapshot.list("probes")?.iter().find(|p| p["event"] == event);
    let probe = probe.with_context(|| format!("no probe {event}"))?;
    let release = snapshot.at("host/kernel").and_then(Value::as_str).context("no host/kernel")?;
    match probe["backend"].as_str() {
        // This one is a raw tracepoint.
        Some("tracepoint") if event == "interrupt" => Ok(true),
        Some("kprobe" | "tracepoint") => release::is_from(release, COUNTS_SKIPPED),
        _ => Ok(true),
    }
}

/// Nothing was missed, and hvsock-top says so.
pub(crate) fn accounting(snapshot: &Snapshot) -> Result<()> {
    losses(snapshot, &[])
}

/// These losses, each of a hook, of a kind and so many, and no others; and hvsock-top says whether there are any.
pub(crate) fn losses(snapshot: &Snapshot, wanted: &[(&str, &str, u64)]) -> Result<()> {
    let accounting = snapshot.at("accounting");
    ensure!(
        snapshot.at("accounting/reconciled") == Some(&Value::Bool(wanted.is_empty())),
        "accounting/reconciled: expected {}, got {}",
        wanted.is_empty(),
        accounting.map_or_else(|| "nothing".to_owned(), Value::to_string)
    );
    let hooks = accounting.and_then(Value::as_object).context("no accounting")?;
    for (name, hook) in hooks.iter().filter(|(name, _)| *name != "reconciled") {
        let parts =
            ["recorded", "filtered", "ring_full", "map_full", "faulted"].map(|part| number(hook, part));
        let sum = parts.into_iter().sum::<Result<u64>>()?;
        ensure!(number(hook, "seen")? == sum, "{name} does not add up: {hook}");
        for lost in ["ring_full", "map_full", "faulted", "unpaired", "missed"] {
            let expected = wanted.iter().find(|(of, what, _)| of == name && *what == lost).map_or(0, |w| w.2);
            if lost == "missed" && !counts_missed(snapshot, name)? {
                ensure!(hook[lost].is_null(), "{name}: nobody can tell what was missed, and {hook} does");
                continue;
            }
            let got = number(hook, lost)?;
            ensure!(got == expected, "{lost} of {name}: expected {expected}, got {hook}");
        }
    }
    Ok(())
}
