//! Connections that had begun to end when hvsock-top came.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "inventory_ending",
        "half-closed before hvsock-top: shown as they are, and not counted as ends that it saw",
        run,
    )
};

/// hv_sock waits 8 s for the host to answer a close (`HVS_CLOSE_TIMEOUT`).
const GAVE_UP: Duration = Duration::from_millis(9500);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    host::host("mode 5001 linger")?;
    // One that the host has taken away and the guest still has; one that the guest has closed, and given up on, and the host still has; the
    // same of one that the host made, and the guest accepted.
    let taken = traffic::connect(5000)?;
    host::host("rescind 5000")?;
    drop(traffic::connect(5001)?);
    let listener = Listener::bind(6001, 4).context("cannot listen")?;
    host::host("connect 6001 linger")?;
    drop(listener.accept(steps::LIMIT)?.context("nothing to accept")?);
    drop(listener);
    thread::sleep(GAVE_UP);
    let ledger = steps::wait_ledger("each is left on one side", |l| {
        l.conns.len() == 3
            && l.conns[0].rescinded_ns > 0
            && l.conns[1..].iter().all(|c| c.guest_fin_ns > 0)
            && l.live().count() == 3
    })?;

    let top = Top::start()?;
    top.wait("the one that a process has", |s| {
        let [value] = s.connections()? else { anyhow::bail!("expected one, got {:?}", s.connections()?) };
        ensure!(value["relid"] == ledger.conns[0].relid, "expected the first of {ledger:?}, got {value}");
        ensure!(value["state"] == "rescinded", "the host has taken it away: {value}");
        ensure!(value["known_since_start"] == false && value["pid"] == std::process::id(), "owner: {value}");
        ensure!(value["rings"]["in"]["unread_bytes"].is_null(), "nobody looked in time: {value}");
        Ok(())
    })?;
    drop(taken);
    host::host("rescind")?;
    steps::all_gone()?;
    top.wait("all are gone, no end was seen from its beginning", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect_all(s, &[("totals/closed_connections", 3), ("totals/never_accepted", 0)])?;
        let closes = s.sum("closes")?;
        ensure!(closes == 0, "closes: expected none, got {closes}: {:?}", s.at("closes"));
        compare::accounting(s)
    })?;
    top.stop()
}
