//! Every way in which an open of the host's fails.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::host;
use hvsock_guest::vsock::Listener;
use serde_json::{Value, json};

use crate::compare;
use crate::events::{Events, count};
use crate::histograms;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "open_failures",
    "no listener, a foreign service, a socket that does not listen, the host refuses, the host takes it back",
    run,
);

/// Outcome, port, how often.
const FAILURES: [(&str, u32, usize); 5] = [
    ("no_listener", 6100, 2),
    ("not_vsock", 6101, 3),
    ("bad_state", 6102, 4),
    ("host_refused", 6103, 5),
    ("rescinded", 6104, 1),
];

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    // A foreign service with the port of a listener: the port must not mislead.
    let foreign = Listener::bind(6101, 8).context("cannot listen")?;
    let bound = Listener::bound(6102).context("cannot bind")?;
    let refused = Listener::bind(6103, 8).context("cannot listen")?;
    let rescinded = Listener::bind(6104, 8).context("cannot listen")?;

    host::host("connect 6100 echo 0 2")?;
    for _ in 0..3 {
        host::host("foreign 6101")?;
    }
    host::host("connect 6102 echo 0 4")?;
    host::host("connect 6103 refuse 0 5")?;
    steps::wait_ledger("14 offers have come to nothing", |l| {
        l.conns.len() == 14 && l.conns.iter().all(|c| !c.live())
    })?;
    host::host("connect 6104 noopen 0 1")?;
    top.wait("a connection that is being opened", |s| {
        let value = s.connection()?;
        ensure!(value["state"] == "opening" && value["local_port"] == 6104, "not being opened: {value}");
        ensure!(value["rings"]["out"]["used_bytes"].is_null(), "a ring before there is one: {value}");
        Ok(())
    })?;
    std::thread::sleep(Duration::from_millis(100));
    host::host("rescind 6104")?;
    let ledger = steps::all_gone()?;
    ensure!(ledger.conns.iter().all(|c| c.opened_ns == 0), "one was opened");

    let snapshot = top.wait("each failure in its place, and nothing else", |s| {
        for (why, _, times) in FAILURES {
            compare::expect(s, &format!("opens/from_host/{why}"), times as u64)?;
        }
        let all: u64 = FAILURES.iter().map(|(_, _, times)| *times as u64).sum();
        let (from, to) = (s.sum("opens/from_host")?, s.sum("opens/to_host")?);
        ensure!(
            (from, to) == (all, 0),
            "expected {all} outcomes from the host and none to it: {:?}",
            s.at("opens")
        );
        // A foreign service has no port.
        let ports: Vec<_> = FAILURES.iter().filter(|(why, _, _)| *why != "not_vsock").collect();
        let seen = s.list("ports")?;
        ensure!(seen.len() == ports.len(), "expected {} ports, got {seen:?}", ports.len());
        for ((why, port, times), seen) in ports.into_iter().zip(seen) {
            let expected = json!([port, "from_host", { *why: times }, {}, 0, 0]);
            let names = ["port", "direction", "offers", "connects", "live", "closed"];
            let got: Value = names.iter().map(|name| seen[name].clone()).collect();
            ensure!(got == expected, "expected {expected}, got {seen}");
        }
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        ensure!(s.sum("closes")? == 0, "closes of what was never open: {:?}", s.at("closes"));
        histograms::consistent(s)?;
        compare::accounting(s)
    })?;
    compare::expect_of(snapshot.listener(6103)?, &[("drops/backlog_full", 0), ("peak_backlog", 0)])?;
    events.wait("an event for each", |seen| {
        for (why, port, times) in FAILURES {
            let got = count(seen, "open_failed", Some(why), port);
            ensure!(got == times, "{why} at {port}: expected {times} events, got {got}");
        }
        ensure!(seen.len() == 15, "expected 15 events in all, got {}: {seen:?}", seen.len());
        Ok(())
    })?;
    drop((foreign, bound, refused, rescinded));
    events.stop()?;
    top.stop()
}
