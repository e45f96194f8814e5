//! No inventory: an older connection comes up with its first event, and that event is counted.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "inventory_denied",
    "without the inventory: older connections come up with their first event, and listeners are unknown",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let mut streams = traffic::connect_all(5000, 3)?;
    let listener = Listener::bind(6002, 8).context("cannot listen")?;
    host::host("connect 6002 echo 0 2")?;
    steps::wait_ledger("all are open", |l| l.live().filter(|c| c.opened_ns > 0).count() == 5)?;

    let top = Top::start_with(&["--deny-probe", "inventory"])?;
    top.wait("nothing yet, and why", |s| {
        ensure!(s.connections()?.is_empty(), "expected no connection, got {:?}", s.connections()?);
        let listeners = s.at("listeners").and_then(Value::as_array).context("no list of listeners")?;
        ensure!(listeners.is_empty(), "expected no listener, got {listeners:?}");
        let probes = s.at("probes").and_then(Value::as_array).context("no list of probes")?;
        let probe = probes.iter().find(|p| p["event"] == "inventory").context("no probe `inventory`")?;
        ensure!(probe["state"] == "denied" && probe["reason"].is_string(), "the probe says {probe}");
        Ok(())
    })?;
    // One is sent to first, one is accepted first, one is left alone.
    streams.extend(traffic::accept(&listener, 1, std::time::Duration::ZERO, steps::LIMIT)?);
    traffic::echo(&streams[0], 5000)?;
    traffic::echo(&streams[3], 700)?;
    let ledger = host::ledger()?;
    top.wait("those that did something, each with all it did", |s| {
        let seen = s.connections()?;
        ensure!(seen.len() == 2, "expected the two that did something, got {seen:?}");
        for conn in ledger.conns.iter().filter(|c| c.rx_bytes > 0) {
            let value = compare::find(seen, conn)?;
            compare::figures(value, conn)?;
            ensure!(value["known_since_start"] == false, "it is older: {value}");
            let accepted = value["direction"] == "from_host";
            let owner = if accepted { Value::from(std::process::id()) } else { Value::Null };
            ensure!(value["pid"] == owner, "expected the owner {owner} in {value}");
        }
        compare::accounting(s)
    })?;
    // The child that nobody accepts goes with its listener; it, and the idle ones, come up as they close.
    drop(listener);
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("all ends are seen", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/closed_connections", 5)?;
        compare::expect(s, "totals/never_accepted", 1)?;
        compare::expect(s, "totals/tx_bytes", 5700)?;
        let closes = s.sum("closes")?;
        ensure!(closes == 5, "closes: expected 5, got {closes}");
        compare::accounting(s)
    })?;
    top.stop()
}
