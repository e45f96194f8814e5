//! Connections whose beginning hvsock-top did not see, met again only as they end.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use super::inventory_fallback::WITHOUT;
use crate::compare::{self, near};
use crate::faults::Fault;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "unseen_opens",
        "connections known from their end only: closing from the moment of their close, timed out, never accepted, never abandoned",
        run,
    )
};

fn run() -> Result<()> {
    host::host("mode 5003 linger")?;
    let older = traffic::connect(5003)?;
    let listener = Listener::bind(6005, 4).context("cannot listen")?;
    host::host("connect 6005 linger")?;
    steps::wait_ledger("one waits to be accepted", |l| {
        l.conns.iter().filter(|c| c.opened_ns > 0).count() == 2
    })?;
    let relid = host::ledger()?.conns[0].relid;
    let top = Top::start_with(WITHOUT)?;

    let begun = uptime()?;
    drop(older);
    top.wait("it is closing", |s| {
        let value = s.connections()?.iter().find(|c| c["relid"] == relid).context("not there")?;
        ensure!(value["state"] == "closing", "closing: {value}");
        near("the end so far", number(value, "ending_for_ns")?, s.number("uptime_ns")? - begun)
    })?;
    drop(listener);
    host::host("rescind")?;
    steps::all_gone()?;
    top.wait("both ends; nobody had accepted the child", |s| {
        compare::expect_all(
            s,
            &[("closes/graceful", 2), ("totals/never_accepted", 1), ("latency/close/count", 0)],
        )?;
        compare::accounting(s)
    })?;

    // The probes do not see how it is opened, nor how it is closed.
    let unseen = Fault::unreadable(1, "hvs_probe")?;
    let stream = traffic::connect(5003)?;
    unseen.end()?;
    let unseen = Fault::unreadable(100, "hvs_release")?;
    drop(stream);
    top.wait_for(Duration::from_secs(30), "a close that has timed out", |s| {
        compare::expect_all(
            s,
            &[("closes/timed_out", 1), ("opens/to_host/ok", 0), ("opens/to_host/abandoned", 0)],
        )?;
        compare::losses(s, &[("open", "map_full", 1), ("release", "faulted", 1)])
    })?;
    drop(unseen);
    host::host("mend")?;
    host::host("rescind")?;
    steps::all_gone()?;
    top.wait("all are gone", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/closed_connections", 3)
    })?;
    top.stop()
}
