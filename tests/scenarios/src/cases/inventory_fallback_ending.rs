//! Connections that had begun to end, or had not yet been opened, when hvsock-top came, on a kernel without the iterator.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use super::inventory::no_latency;
use super::inventory_fallback::WITHOUT;
use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "inventory_fallback_ending",
        "half-closed, half-opened before hvsock-top without the iterator: told as far as it is certain",
        run,
    )
};

/// hv_sock waits 8 s for the host to answer a close (`HVS_CLOSE_TIMEOUT`): so long it certainly waits, so long it certainly does not.
const TIMEOUT: u64 = 7_000_000_000;
const GAVE_UP: Duration = Duration::from_millis(9500);

/// So many are closed one after the other while hvsock-top starts; so densely that one is while the Snapshot is being read.
const CLOSING: usize = 600;
const PAUSE: Duration = Duration::from_millis(30);

/// So long the host keeps an open waiting for its answer; hvsock-top starts meanwhile.
const HELD_MS: u64 = 12_000;

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    host::host("mode 5001 linger")?;
    host::host("mode 5002 source 3000")?;
    host::host("mode 5003 linger")?;
    // Closed by the guest, which has given up on the host since.
    drop(traffic::connect(5001)?);
    thread::sleep(GAVE_UP);
    // Taken away by the host, with nothing unread; with something unread; one with something unread that the host has not taken away.
    let taken = traffic::connect(5000)?;
    let full = traffic::connect(5002)?;
    ensure!(full.readable(steps::LIMIT)?, "the host sends nothing");
    host::host("rescind 5000")?;
    host::host("rescind 5002")?;
    steps::wait_ledger("both are taken away", |l| {
        l.conns.iter().filter(|c| c.rescinded_ns > 0).count() == 2
    })?;
    let unread = traffic::connect(5002)?;
    ensure!(unread.readable(steps::LIMIT)?, "the host sends nothing");
    // Closed by the guest, one after the other, and the host does not answer: some of them just before hvsock-top looks.
    let mut open = traffic::connect_all(5003, CLOSING)?;
    closing(&mut open)?;
    let ledger = host::ledger()?;

    // And one whose open no hook sees: it begins before them, and ends a good while after.
    let listener = Listener::bind(6002, 8).context("cannot listen")?;
    host::host(&format!("connect 6002 hold {HELD_MS}"))?;
    let top = Top::start_with(WITHOUT)?;
    let relid = |n: usize| ledger.conns.get(n).map(|c| c.relid).context("a connection is missing");
    let (gave_up, taken_at, full_at, unread_at) = (relid(0)?, relid(1)?, relid(2)?, relid(3)?);
    let myself = std::process::id();
    top.wait("each as far as it can be told", |s| {
        for at in [taken_at, full_at, unread_at] {
            let value = of(s, at)?;
            ensure!(value["state"].is_null(), "two ways lead here, and none is told: {value}");
            ensure!(value["pid"] == myself && value["direction"] == "to_host", "owner or direction: {value}");
        }
        // It has no socket any more that could be listed.
        let value = of(s, gave_up)?;
        ensure!(
            value["state"].is_null() && value["direction"].is_null() && value["pid"].is_null(),
            "{value}"
        );
        for value in s.connections()? {
            ensure!(value["known_since_start"] == false, "it is older: {value}");
            ensure!(value["rings"]["in"]["unread_bytes"].is_null(), "nobody looked in time: {value}");
        }
        no_latency(s)
    })?;

    let ledger = steps::wait_ledger("the open is done", |l| l.of_service(6002).all(|c| c.opened_ns > 0))?;
    let held = ledger.of_service(6002).next().context("no connection from the host")?;
    top.wait("the one that was being opened", |s| {
        let value = compare::find(s.connections()?, held)?;
        compare::figures(value, held)?;
        ensure!(value["state"] == "established" && value["pid"].is_null(), "nobody has accepted it: {value}");
        ensure!(value["known_since_start"] == false, "its beginning was not seen: {value}");
        compare::expect(s, "totals/live_connections", CLOSING as u64 + 5)?;
        compare::expect(s, "opens/from_host/ok", 0)
    })?;

    // Whatever happens on them makes them whole.
    let mut byte = [0];
    ensure!(full.receive(&mut byte)? == 1 && unread.receive(&mut byte)? == 1, "there was something to read");
    top.wait("the states of those that were read from", |s| {
        let (full, unread) = (of(s, full_at)?, of(s, unread_at)?);
        ensure!(full["state"] == "rescinded" && full["pid"] == myself && full["fd"].is_u64(), "{full}");
        ensure!(
            unread["state"] == "established" && unread["pid"] == myself && unread["fd"].is_u64(),
            "{unread}"
        );
        compare::expect(s, "totals/live_connections", CLOSING as u64 + 5)
    })?;
    drop((taken, full, unread, listener, open));
    for port in [5001, 5002, 5003] {
        host::host(&format!("rescind {port}"))?;
    }
    steps::all_gone()?;
    top.wait("all are gone", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/closed_connections", CLOSING as u64 + 5)?;
        compare::expect(s, "totals/never_accepted", 1)?;
        no_latency(s)?;
        compare::accounting(s)
    })?;
    top.stop()
}

/// Closes connections while hvsock-top takes one Snapshot. A later one would not do: hooks tell of a close when the kernel gives up on it.
fn closing(open: &mut Vec<Stream>) -> Result<()> {
    let done = AtomicBool::new(false);
    let (ended, closed) = thread::scope(|scope| {
        let closer = scope.spawn(|| -> Result<Vec<(u32, u64)>> {
            let mut closed = Vec::new();
            while !done.load(Ordering::Relaxed)
                && let Some(stream) = open.pop()
            {
                let port = stream.ports()?.guest;
                drop(stream);
                closed.push((port, uptime()?));
                thread::sleep(PAUSE);
            }
            Ok(closed)
        });
        let ended = once::hvsock_top(&[&["json", "--once"], WITHOUT].concat());
        done.store(true, Ordering::Relaxed);
        (ended, closer.join().map_err(|_| anyhow!("a thread panicked")))
    });
    let (snapshot, mut closed) = (ended?.snapshot()?, closed??);
    let now = snapshot.number("uptime_ns")?;
    closed.retain(|(_, at)| now.checked_sub(*at).is_some_and(|ns| ns < TIMEOUT));
    ensure!(!closed.is_empty(), "none was closed in time");
    for (port, at) in closed {
        let mut found = snapshot.connections()?.iter().filter(|v| v["local_port"] == port);
        let value =
            found.next().with_context(|| format!("{port}, which the guest has closed, is missing"))?;
        let ago = now - at;
        ensure!(value["state"] == "closing", "the guest closed it {ago} ns before the Snapshot: {value}");
        // Those that were open for a moment longer had an owner to be found.
        ensure!(value["pid"].is_null() || value["pid"] == std::process::id(), "nobody else had it: {value}");
    }
    Ok(())
}

fn of(s: &Snapshot, relid: u32) -> Result<&Value> {
    let found = s.connections()?.iter().find(|v| v["relid"] == relid);
    found.with_context(|| format!("relid {relid} is missing in {:?}", s.connections()))
}
