//! What was there before hvsock-top: other processes' connections, children nobody has accepted, listeners.

use std::os::fd::{AsFd, AsRawFd as _};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::{Conn, Direction, Ledger};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::{Value, json};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    ..Scenario::new(
        "inventory",
        "connections, queued children and listeners older than hvsock-top, with their owners",
        run,
    )
};

const QUEUED: usize = 3;

/// Another process with connections of its own; killed when dropped.
pub(super) struct Other(Child);

impl Other {
    pub(super) fn holding(port: u32, count: usize) -> Result<Self> {
        let arguments = ["par", &port.to_string(), "0", &count.to_string(), "--hold", "600"];
        let child = Command::new("guest").args(arguments).stdout(Stdio::null()).spawn();
        child.map(Self).context("cannot run guest")
    }

    pub(super) fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn run() -> Result<()> {
    for port in [5000, 5001, 5002] {
        host::host(&format!("mode {port} echo"))?;
    }
    let mut streams = traffic::connect_all(5000, 2)?;
    let others = [Other::holding(5001, 2)?, Other::holding(5002, 1)?];
    let busy = Listener::bind(6002, 8).context("cannot listen")?;
    let idle = Listener::bind(6003, 5).context("cannot listen")?;
    host::host(&format!("connect 6002 echo 0 {QUEUED}"))?;
    let ledger = steps::wait_ledger("all are open", |l| l.live().filter(|c| c.opened_ns > 0).count() == 8)?;

    let top = Top::start()?;
    let myself = std::process::id();
    let first = top.wait("all that was there before, as the ledger has it", |s| {
        compare::live(s, &ledger)?;
        owners(s, &ledger, |conn| match (conn.dir, conn.host_port) {
            (Direction::FromHost, _) => None,
            (_, 5001) => Some((others[0].pid(), "guest")),
            (_, 5002) => Some((others[1].pid(), "guest")),
            _ => Some((myself, "scenarios")),
        })?;
        listener(s, 6002, &json!([myself, busy.as_fd().as_raw_fd(), QUEUED, 8, 0]))?;
        listener(s, 6003, &json!([myself, idle.as_fd().as_raw_fd(), 0, 5, 0]))?;
        compare::expect(s, "totals/live_connections", 8)
    })?;
    first.check(|s| {
        for stream in &streams {
            let port = stream.ports()?.guest;
            let value = s.connections()?.iter().find(|v| v["local_port"] == port).context("not there")?;
            ensure!(value["fd"] == stream.as_fd().as_raw_fd(), "the descriptor is wrong in {value}");
        }
        Ok(())
    })?;

    // From here on everything is counted.
    streams.extend(traffic::accept(&busy, QUEUED, std::time::Duration::ZERO, steps::LIMIT)?);
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 3000 + i)?;
    }
    let ledger = host::ledger()?;
    top.wait("the traffic, exactly, and the children accepted", |s| {
        compare::live(s, &ledger)?;
        owners(s, &ledger, |conn| (conn.dir == Direction::FromHost).then_some((myself, "scenarios")))?;
        listener(s, 6002, &json!([myself, busy.as_fd().as_raw_fd(), 0, 8, QUEUED]))?;
        compare::expect(s, "totals/tx_bytes", ledger.conns.iter().map(|c| c.rx_bytes).sum())?;
        compare::expect(s, "totals/rx_bytes", ledger.conns.iter().map(|c| c.tx_bytes).sum())?;
        compare::accounting(s)
    })?;

    drop((busy, idle, others));
    top.wait("no listener is left, but for what was accepted", |s| {
        let listeners = s.at("listeners").and_then(Value::as_array).context("no list of listeners")?;
        ensure!(listeners.iter().all(|l| l["port"] != 6003), "6003 is still there: {listeners:?}");
        for l in listeners {
            ensure!(l["backlog"].is_null() && l["pid"].is_null(), "nobody listens there any more: {l}");
        }
        Ok(())
    })?;
    streams.drain(..).try_for_each(traffic::close)?;
    let gone = steps::all_gone()?;
    top.wait("no slot and no latency is left of them", |s| {
        no_trace(s, gone.conns.len() as u64)?;
        compare::accounting(s)
    })?;

    used_again(&top)?;
    top.stop()
}

/// So many connections are gone that were there before, and nothing but their ends was counted of them.
pub(super) fn no_trace(s: &Snapshot, older: u64) -> Result<()> {
    ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
    compare::expect(s, "totals/closed_connections", older)?;
    let closes = s.sum("closes")?;
    ensure!(closes == older, "closes: {closes} of {older}");
    compare::expect(s, "totals/never_accepted", 0)?;
    compare::expect(s, "opens/to_host/ok", 0)?;
    no_latency(s)
}

/// No latency of theirs was measured.
pub(super) fn no_latency(s: &Snapshot) -> Result<()> {
    let latency = s.at("latency").and_then(Value::as_object).context("no latency")?;
    for (name, histogram) in latency {
        ensure!(histogram["count"] == 0, "latency/{name} has entries of older connections: {histogram}");
    }
    Ok(())
}

/// The relids of older connections are used again, and nothing of those shows.
pub(super) fn used_again(top: &Top) -> Result<()> {
    host::host("reset")?;
    let myself = std::process::id();
    let mut streams = traffic::connect_all(5000, 4)?;
    let ledger = host::ledger()?;
    top.wait("new connections in the same slots", |s| {
        compare::live(s, &ledger)?;
        for value in s.connections()? {
            ensure!(value["known_since_start"] == true, "it was seen from its beginning: {value}");
            ensure!(value["pid"] == myself && !value["age_ns"].is_null(), "owner or age is wrong: {value}");
        }
        compare::accounting(s)
    })?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone().map(drop)
}

/// The connections are known as old, and belong to whom `owner` says; of those it says nothing about nobody knows.
pub(super) fn owners<'a>(
    s: &Snapshot,
    ledger: &Ledger,
    owner: impl Fn(&Conn) -> Option<(u32, &'a str)>,
) -> Result<()> {
    for conn in ledger.live() {
        let value = compare::find(s.connections()?, conn)?;
        ensure!(value["known_since_start"] == false, "it is older: {value}");
        ensure!(value["opened_at"].is_null() && value["age_ns"].is_null(), "its age is unknown: {value}");
        match owner(conn) {
            Some((pid, comm)) => {
                ensure!(value["pid"] == pid && value["comm"] == comm, "expected {comm} {pid} in {value}");
                ensure!(value["fd"].is_u64(), "expected a descriptor in {value}");
            }
            None if conn.dir == Direction::FromHost => {
                ensure!(value["pid"].is_null() && value["fd"].is_null(), "nobody has it: {value}");
            }
            None => {}
        }
    }
    Ok(())
}

/// The listener at `port` has these: pid, descriptor, backlog, its limit, how many were accepted.
pub(super) fn listener(s: &Snapshot, port: u32, expected: &Value) -> Result<()> {
    let listeners = s.at("listeners").and_then(Value::as_array).context("no list of listeners")?;
    let found = listeners.iter().find(|l| l["port"] == port);
    let l = found.with_context(|| format!("no listener at {port}: {listeners:?}"))?;
    let got = json!([l["pid"], l["fd"], l["backlog"], l["max_backlog"], l["accepted"]]);
    ensure!(got == *expected, "listener at {port}: expected {expected}, got {got}");
    ensure!(l["comm"].is_null() == l["pid"].is_null(), "a process without a name: {l}");
    ensure!(l["pid"].is_null() || l["comm"] == "scenarios", "another's: {l}");
    Ok(())
}
