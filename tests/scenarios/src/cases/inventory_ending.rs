//! Connections that had begun to end when hvsock-top came.

use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
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
    // One that the host has taken away and the guest still has; one that the guest has closed, and given up on, and the host still has.
    let taken = traffic::connect(5000)?;
    host::host("rescind 5000")?;
    drop(traffic::connect(5001)?);
    thread::sleep(GAVE_UP);
    let ledger = steps::wait_ledger("one is left on either side", |l| {
        l.conns.len() == 2
            && l.conns[0].rescinded_ns > 0
            && l.conns[1].guest_fin_ns > 0
            && l.live().count() == 2
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
    host::host("rescind 5001")?;
    steps::all_gone()?;
    top.wait("both are gone, neither end was seen from its beginning", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/closed_connections", 2)?;
        let closes = s.sum("closes")?;
        ensure!(closes == 0, "closes: expected none, got {closes}: {:?}", s.at("closes"));
        compare::accounting(s)
    })?;
    top.stop()
}
