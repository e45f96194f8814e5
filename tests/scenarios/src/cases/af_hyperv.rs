//! AF_HYPERV: connections of both directions and every way to end them, under each of its lookups.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::af_hyperv::{Counts, LOOKUPS, in_place};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use super::backlog;
use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(6),
    ..Scenario::new(
        "af_hyperv",
        "AF_HYPERV by list, hash and pointer: echo, closes, backlogs, refused sockets, nodes walked, all as exact as hv_sock's",
        run,
    )
};

fn run() -> Result<()> {
    for lookup in LOOKUPS {
        in_place(&format!("lookup={lookup}"), || one(lookup)).with_context(|| format!("lookup={lookup}"))?;
    }
    in_place("capable_only=0", everybody_may)
}

fn one(lookup: &str) -> Result<()> {
    host::host("reset")?;
    for port in [5000, 5001, 5002] {
        host::host(&format!("mode {port} echo"))?;
    }
    walks(lookup)?;
    older()?;
    host::host("reset")?;
    let top = Top::start()?;
    top.wait("the family", |s| {
        let is = |path: &str, what: &str| s.at(path).is_some_and(|v| v == what);
        ensure!(is("host/family", "af_hyperv") && is("host/hv_sock", "module"), "{:?}", s.at("host"));
        for (path, what) in [
            ("closes/timed_out", "no close timer"),
            ("opens/from_host/transport", "no transports"),
            ("opens/from_host/not_vsock", "any GUID"),
        ] {
            ensure!(s.at(path).is_some_and(serde_json::Value::is_null), "it has {what}: {path} is not null");
        }
        let idle = s.list("probes")?.iter().find(|p| p["state"] != "active");
        ensure!(idle.is_none(), "a probe that is not active: {idle:?}");
        Ok(())
    })?;
    echo(&top)?;
    closes(&top)?;
    refused(&top)?;
    top.stop()?;
    if lookup == "list" {
        backlogs()?;
    }
    Ok(())
}

fn echo(top: &Top) -> Result<()> {
    let listener = Listener::bind(6500, 8).context("cannot listen")?;
    host::host("connect 6500 echo 0 3")?;
    let mut streams = traffic::accept(&listener, 3, Duration::ZERO, steps::LIMIT)?;
    ensure!(streams.len() == 3, "{} of 3 accepted", streams.len());
    streams.extend(traffic::connect_all(5000, 3)?);
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 5000 * (i + 1))?;
    }
    let seen = steps::exact(top)?;
    seen.check(|s| {
        for value in s.connections()? {
            for phase in ["offer_to_probe_ns", "lookup_ns", "ring_alloc_ns", "host_open_ns", "other_open_ns"]
            {
                ensure!(value["latency"][phase].is_u64(), "{phase} is not measured: {value}");
            }
            ensure!(value["pid"] == std::process::id(), "another's: {value}");
        }
        compare::expect_all(s, &[("opens/from_host/ok", 3), ("opens/to_host/ok", 3)])
    })?;
    streams.drain(..).try_for_each(traffic::close)?;
    drop(listener);
    steps::all_gone_exact(top).map(drop)
}

/// By the guest, by the host with a FIN, by the host at once; and with data that nobody has read yet.
fn closes(top: &Top) -> Result<()> {
    let before = top.wait("the closes so far", |s| s.sum("closes").map(drop))?;
    for stream in traffic::connect_all(5000, 4)? {
        traffic::echo(&stream, 1000)?;
        drop(stream);
    }
    let polite = traffic::connect_all(5001, 4)?;
    host::host("fin 5001")?;
    for stream in polite {
        ensure!(stream.drain().context("the host's FIN does not arrive")? == 0, "bytes nobody sent");
    }
    let rude = traffic::connect_all(5002, 4)?;
    host::host("write 9000 5002")?;
    steps::wait_ledger("it is in the rings", |l| {
        l.of_service(5002).filter(|c| c.tx_bytes == 9000).count() == 4
    })?;
    host::host("rescind 5002")?;
    steps::wait_ledger("they are taken back", |l| l.of_service(5002).all(|c| c.rescinded_ns > 0))?;
    for stream in rude {
        let rest = stream.drain().context("what was sent before the rescind is lost")?;
        ensure!(rest == 9000, "{rest} bytes of 9000");
        ensure!(stream.send(b"x").is_err(), "a send to a host that is gone");
    }
    let snapshot = steps::all_gone_exact(top)?;
    for (name, expected) in [("graceful", 8), ("by_host", 4)] {
        let path = format!("closes/{name}");
        let got = snapshot.number(&path)? - before.number(&path)?;
        ensure!(got == expected, "{path}: expected {expected} more, got {got}");
    }
    Ok(())
}

/// Who may not have a socket is told so, and counted; the host hears nothing of it.
fn refused(top: &Top) -> Result<()> {
    let before = host::ledger()?.ports.iter().map(|p| p.connect_requests).sum::<u64>();
    for (caps, may) in
        [("none", false), ("SYS_ADMIN", true), ("NET_RAW", false), ("NET_ADMIN", true), ("none", false)]
    {
        let ended = once::shell(&format!("guest caps {caps} -- guest --family af_hyperv echo 5000 10 1"))?;
        let refused = ended.code == Some(1) && ended.stderr.contains("Operation not permitted");
        ensure!(if may { ended.code == Some(0) } else { refused }, "{caps}: {ended:?}");
    }
    steps::all_gone()?;
    let asked = host::ledger()?.ports.iter().map(|p| p.connect_requests).sum::<u64>() - before;
    ensure!(asked == 2, "the host was asked {asked} times");
    top.wait("three sockets refused", |s| {
        compare::expect(s, "totals/sockets_not_permitted", 3)?;
        compare::expect(s, "accounting/socket/recorded", 3)?;
        compare::accounting(s)
    })?;
    steps::exact(top).map(drop)
}

/// The check of rights can be left out, as the review wished.
fn everybody_may() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    let ended = once::shell("guest caps none -- guest --family af_hyperv echo 5000 10 1")?;
    ensure!(ended.code == Some(0), "{ended:?}");
    steps::all_gone()?;
    top.wait("no socket refused", |s| compare::expect(s, "totals/sockets_not_permitted", 0))?;
    top.stop()
}

/// `listen(N)` admits N, unlike today's vsock; the rest is what the scenario of that name says.
fn backlogs() -> Result<()> {
    host::host("reset")?;
    let top = Top::start()?;
    backlog::overflow(&top, None)?;
    for (port, backlog) in [(6001, 4), (6002, 0), (6003, 128)] {
        let admitted = host::ledger()?.of_service(port).filter(|c| c.opened_ns > 0).count();
        ensure!(admitted == backlog, "port {port}: {admitted} admitted, expected {backlog}");
    }
    let beyond = Listener::bind(6004, 129).err().and_then(|e| e.raw_os_error());
    ensure!(beyond == Some(libc::EINVAL), "listen(129): {beyond:?}");
    top.stop()?;
    host::host("refuse_delay 500")
}

/// What was there before hvsock-top is found: connections, a queued child, a listener.
fn older() -> Result<()> {
    host::host("reset")?;
    let streams = traffic::connect_all(5000, 2)?;
    let listener = Listener::bind(6501, 7).context("cannot listen")?;
    host::host("connect 6501 echo")?;
    let ledger =
        steps::wait_ledger("all are open", |l| l.conns.iter().filter(|c| c.opened_ns > 0).count() == 3)?;
    let top = Top::start()?;
    top.wait("what was there before", |s| {
        compare::live(s, &ledger)?;
        ensure!(s.connections()?.iter().all(|c| c["known_since_start"] == false), "{:?}", s.connections()?);
        compare::expect_of(s.listener(6501)?, &[("backlog", 1), ("max_backlog", 7)])
    })?;
    traffic::echo(&streams[0], 2000)?;
    let ledger = host::ledger()?;
    top.wait("what it did since", |s| compare::live(s, &ledger).and_then(|()| compare::accounting(s)))?;
    drop((streams, listener));
    steps::all_gone()?;
    top.wait("nothing is left", |s| compare::expect(s, "totals/live_connections", 0))?;
    top.stop()
}

/// How many sockets are compared on the way to the oldest of 21 bound, of 20 connected, and to one that is not there: as the structure has it.
fn walks(lookup: &str) -> Result<()> {
    const N: u64 = 20;
    let listener = Listener::bind(6502, 8).context("cannot listen")?;
    let first = traffic::connect(5001)?;
    let others = traffic::connect_all(5000, N as usize - 1)?;
    steps::wait_ledger("all are open", |l| l.live().filter(|c| c.opened_ns > 0).count() == N as usize)?;
    let before = Counts::now()?;
    ensure!((before.bound, before.connected) == (N + 1, N), "{before:?}");
    host::host("connect 6502 echo")?;
    let accepted = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
    let found = Counts::now()?;
    ensure!(found.bound_lookups == before.bound_lookups + 1, "{before:?} {found:?}");
    let nodes = found.bound_nodes - before.bound_nodes;
    ensure!(if lookup == "list" { nodes == N + 1 } else { nodes <= 2 }, "bound: {nodes} nodes walked");
    host::host("rescind 5001")?;
    ensure!(first.drain()? == 0, "bytes nobody sent");
    let ended = Counts::now()?;
    ensure!(
        ended.connected_lookups == found.connected_lookups + 1 && ended.connected == N,
        "{found:?} {ended:?}"
    );
    let nodes = ended.connected_nodes - found.connected_nodes;
    ensure!(nodes == if lookup == "list" { N + 1 } else { 1 }, "connected: {nodes} nodes walked");
    // A port that nobody has: all of the list is walked, and of a hash one bucket.
    host::host("connect 6503 echo")?;
    steps::wait_ledger("it is refused", |l| l.of_service(6503).any(|c| c.refused))?;
    let missed = Counts::now()?;
    let nodes = missed.bound_nodes - ended.bound_nodes;
    ensure!(
        if lookup == "list" { nodes == N + 1 } else { nodes <= 2 },
        "bound, not found: {nodes} nodes walked"
    );
    drop((accepted, others, first, listener));
    steps::all_gone()?;
    let left = Counts::now()?;
    ensure!((left.bound, left.connected) == (0, 0), "{left:?}");
    Ok(())
}
