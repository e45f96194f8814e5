//! The host takes channels away in which data lies that nobody has read.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::events::Events;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "rescind_unread",
    "rescinds with nothing, whole packets, part of a packet, a full ring unread: to the byte",
    run,
);

/// What the host sends, and what the guest reads of it.
const CASES: [(usize, usize); 6] =
    [(0, 0), (100, 100), (5000, 0), (20_000, 3000), (20_000, 8192), (100_000, 12_345)];

fn run() -> Result<()> {
    host::host("mode 5410 sink")?;
    let events = Events::start()?;
    let top = Top::start()?;
    let mut streams = Vec::new();
    for (written, read) in CASES {
        host::host(&format!("mode {} sink", 5410 + streams.len()))?;
        let port = 5410 + streams.len() as u32;
        let stream = traffic::connect(port)?;
        if written > 0 {
            host::host(&format!("write {written} {port}"))?;
        }
        stream.receive_exact(&mut vec![0; read])?;
        streams.push(stream);
    }
    let ledger = steps::wait_ledger("the host has sent what it can", |l| {
        l.conns.len() == CASES.len()
            && l.conns
                .iter()
                .zip(CASES)
                .all(|(c, (written, _))| c.tx_bytes == written as u64 || c.in_size - c.in_used < 8192 + 32)
    })?;
    let full = ledger.conns.last().context("the ledger is empty")?;
    ensure!(full.tx_bytes < 100_000, "the ring never was full");
    host::host("rescind")?;
    let ledger = steps::wait_ledger("all are rescinded", |l| l.conns.iter().all(|c| c.rescinded_ns > 0))?;
    let unread: Vec<u64> =
        ledger.conns.iter().zip(CASES).map(|(c, (_, read))| c.tx_bytes - read as u64).collect();
    top.wait("what lay unread in each", |s| {
        ensure!(s.connections()?.len() == CASES.len(), "connections: {}", s.connections()?.len());
        for (conn, unread) in ledger.conns.iter().zip(&unread) {
            let value = compare::find(s.connections()?, conn)?;
            ensure!(value["state"] == "rescinded", "not rescinded: {value}");
            let (got, rx) = (number(value, "rings/in/unread_bytes")?, number(value, "rx/bytes")?);
            ensure!(
                got == *unread && got + rx == conn.tx_bytes,
                "unread: expected {unread}, got {got} in {value}\n  ledger: {}",
                conn.line
            );
        }
        compare::expect(s, "closes/by_host", CASES.len() as u64)
    })?;
    drop(streams);
    steps::all_gone()?;
    events.wait("a close by the host of each", |seen| {
        for (conn, unread) in ledger.conns.iter().zip(&unread) {
            let mut closed =
                seen.iter().filter(|e| e["event"] == "closed" && e["remote_port"] == conn.host_port);
            let (event, more) = (closed.next(), closed.next());
            let event = event.with_context(|| format!("no close at {}", conn.host_port))?;
            ensure!(more.is_none(), "closed twice: {event} and {more:?}");
            ensure!(
                event["why"] == "by_host" && event["unread_bytes"] == *unread,
                "expected {unread}: {event}"
            );
        }
        Ok(())
    })?;
    events.stop()?;
    top.stop()
}
