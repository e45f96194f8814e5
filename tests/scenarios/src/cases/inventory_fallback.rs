//! The same as `inventory` on a kernel without the iterator: sock_diag, /proc and VMBus sysfs find it.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::Direction;
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::json;

use super::inventory::{Other, listener, no_latency, no_trace, owners, used_again};
use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "inventory_fallback",
        "the same without the iterator: found by sock_diag, /proc and sysfs, never twice, gone when closed",
        run,
    )
};

/// hvsock-top without the iterator.
pub(super) const WITHOUT: &[&str] = &["--deny-probe", "inventory"];

const QUEUED: usize = 3;
const OLDER: u64 = 8;

fn run() -> Result<()> {
    for port in [5000, 5001, 5002] {
        host::host(&format!("mode {port} echo"))?;
    }
    let mut streams = traffic::connect_all(5000, 2)?;
    let others = [Other::holding(5001, 2)?, Other::holding(5002, 1)?];
    let busy = Listener::bind(6002, 8).context("cannot listen")?;
    let idle = Listener::bind(6003, 5).context("cannot listen")?;
    host::host(&format!("connect 6002 echo 0 {QUEUED}"))?;
    let ledger =
        steps::wait_ledger("all are open", |l| l.live().filter(|c| c.opened_ns > 0).count() as u64 == OLDER)?;

    let top = Top::start_with(WITHOUT)?;
    let myself = std::process::id();
    let mine = |listener: &Listener| listener.as_fd().as_raw_fd();
    let first = top.wait("all that was there before, as the ledger has it", |s| {
        compare::live(s, &ledger)?;
        owners(s, &ledger, |conn| match (conn.dir, conn.host_port) {
            (Direction::FromHost, _) => None,
            (_, 5001) => Some((others[0].pid(), "guest")),
            (_, 5002) => Some((others[1].pid(), "guest")),
            _ => Some((myself, "scenarios")),
        })?;
        for value in s.connections()? {
            ensure!(value["state"] == "established", "its state is wrong: {value}");
            // Nobody looks at the rings before a hook has met the connection.
            ensure!(value["rings"]["out"]["used_bytes"].is_null(), "nobody has looked: {value}");
        }
        // sock_diag tells no backlog.
        listener(s, 6002, &json!([myself, mine(&busy), null, null, 0]))?;
        listener(s, 6003, &json!([myself, mine(&idle), null, null, 0]))?;
        compare::expect(s, "totals/live_connections", OLDER)?;
        serves(s, "sock_diag")?;
        nothing_counted(s)
    })?;
    for stream in &streams {
        let port = stream.ports()?.guest;
        let value = first.connections()?.iter().find(|v| v["local_port"] == port).context("not there")?;
        ensure!(value["fd"] == stream.as_fd().as_raw_fd(), "the descriptor is wrong in {value}");
    }

    // Traffic on some, so that hooks meet them, and on others not: each stays one, and the same.
    streams.extend(traffic::accept(&busy, QUEUED, Duration::ZERO, steps::LIMIT)?);
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 3000 + i)?;
    }
    let ledger = host::ledger()?;
    top.wait("the traffic, exactly, and the children accepted", |s| {
        compare::live(s, &ledger)?;
        for value in s.connections()? {
            let (owner, comm) = match value["remote_port"].as_u64() {
                Some(5001) => (others[0].pid(), "guest"),
                Some(5002) => (others[1].pid(), "guest"),
                _ => (myself, "scenarios"),
            };
            ensure!(value["pid"] == owner && value["comm"] == comm, "expected {comm} {owner} in {value}");
            // An accepted child got its descriptor afterwards, and nobody looks for that.
            ensure!(value["fd"].is_null() == (value["direction"] == "from_host"), "descriptor: {value}");
            let before = first.connections()?.iter().find(|v| v["relid"] == value["relid"]);
            ensure!(before.is_some_and(|v| v["id"] == value["id"]), "another id than before: {value}");
            ensure!(value["known_since_start"] == false, "it is older: {value}");
        }
        listener(s, 6002, &json!([myself, mine(&busy), null, null, QUEUED]))?;
        compare::expect(s, "totals/live_connections", OLDER)?;
        compare::expect(s, "totals/tx_bytes", ledger.conns.iter().map(|c| c.rx_bytes).sum())?;
        compare::expect(s, "totals/rx_bytes", ledger.conns.iter().map(|c| c.tx_bytes).sum())?;
        no_latency(s)?;
        compare::accounting(s)
    })?;

    // Idle ones are closed by their process's end, the idle listener by its own.
    drop((idle, others));
    let ledger = steps::wait_ledger("those of the others are gone", |l| l.live().count() == streams.len())?;
    top.wait("that they are gone, and the idle listener", |s| {
        compare::live(s, &ledger)?;
        compare::expect(s, "totals/closed_connections", 3)?;
        ensure!(s.listener(6003).is_err(), "6003 is still there");
        listener(s, 6002, &json!([myself, mine(&busy), null, null, QUEUED]))
    })?;
    // Who listens from now on is seen, but not who he is: hvsock-top has given up what it takes to look.
    let later = Listener::bind(6004, 5).context("cannot listen")?;
    top.wait("the new listener", |s| listener(s, 6004, &json!([null, null, null, null, 0])))?;
    drop((busy, later));
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("no slot, no listener and no latency is left of them", |s| {
        for l in s.list("listeners")? {
            ensure!(l["port"] == 6002 && l["pid"].is_null(), "nobody listens there any more: {l}");
        }
        no_trace(s, OLDER)?;
        compare::accounting(s)
    })?;

    used_again(&top)?;
    top.stop()
}

/// The probe says that it is denied, and what serves instead.
pub(super) fn serves(s: &Snapshot, what: &str) -> Result<()> {
    let probe = s.list("probes")?.iter().find(|p| p["event"] == "inventory").context("no such probe")?;
    let reason = probe["reason"].as_str().unwrap_or_default();
    ensure!(probe["state"] == "denied" && reason.contains(what), "expected {what} in {probe}");
    Ok(())
}

/// Nothing has happened since hvsock-top began.
fn nothing_counted(s: &Snapshot) -> Result<()> {
    for path in ["totals/tx_bytes", "totals/callbacks", "totals/closed_connections", "opens/from_host/ok"] {
        compare::expect(s, path, 0)?;
    }
    no_latency(s)
}
