//! Neither the iterator nor a list of sockets: VMBus sysfs knows of connections, and each becomes whole with its first event.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::Value;

use super::inventory::no_latency;
use super::inventory_fallback::{WITHOUT, serves};
use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::schema;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "inventory_sysfs",
        "without vsock_diag, too: older connections are shown with what sysfs says, whole with their first event",
        run,
    )
};

fn run() -> Result<()> {
    module("rmmod vsock_diag")?;
    let result = unlisted();
    // The scenarios that follow want it loaded, whatever happened.
    module("grep -q '^vsock_diag ' /proc/modules || insmod /mod/vsock_diag.ko")?;
    result?;
    let report = doctor()?;
    ensure!(report.at("inventory/source").is_some_and(|v| v == "sock_diag"), "{:?}", report.at("inventory"));
    let codes = codes(&report)?;
    ensure!(codes == ["probe_denied"], "loaded again, nothing but the probe is missing: {codes:?}");
    Ok(())
}

fn unlisted() -> Result<()> {
    let report = doctor()?;
    ensure!(report.at("inventory/source").is_some_and(|v| v == "sysfs"), "{:?}", report.at("inventory"));
    let problems = report.list("problems")?;
    let absent = problems.iter().find(|p| p["code"] == "vsock_diag_absent").context("it is not told")?;
    ensure!(absent["command"] == "modprobe vsock_diag", "what to do: {absent}");

    host::host("mode 5000 echo")?;
    let mut streams = traffic::connect_all(5000, 3)?;
    let listener = Listener::bind(6002, 8).context("cannot listen")?;
    let idle = Listener::bind(6003, 8).context("cannot listen")?;
    host::host("connect 6002 echo 0 2")?;
    let ledger = steps::wait_ledger("all are open", |l| l.live().filter(|c| c.opened_ns > 0).count() == 5)?;
    let top = Top::start_with(WITHOUT)?;
    let first = top.wait("each channel with what sysfs says of it, and no listener", |s| {
        let seen = s.connections()?;
        ensure!(seen.len() == 5, "expected five, got {seen:?}");
        for conn in &ledger.conns {
            let value = seen.iter().find(|v| v["relid"] == conn.relid).context("a relid is missing")?;
            compare::figures(value, conn)?;
            let from_host = conn.guest_port == 6002;
            let service = if from_host { 6002 } else { 5000 };
            ensure!(
                value["service_guid"] == format!("{service:08x}-facb-11e6-bd58-64006a7986d3"),
                "it is another service: {value}"
            );
            // This host gives its own connections the GUIDs of ports, so that they look like the guest's.
            for name in ["direction", "local_port", "remote_port", "state", "pid", "comm", "fd", "opened_at"]
            {
                ensure!(value[name].is_null(), "{name} is not to be known: {value}");
            }
            ensure!(value["known_since_start"] == false, "it is older: {value}");
        }
        ensure!(s.list("listeners")?.is_empty(), "expected no listener, got {:?}", s.list("listeners"));
        serves(s, "sysfs serves")?;
        no_latency(s)?;
        compare::accounting(s)
    })?;

    // One is sent to first, one is accepted first, one is left alone.
    streams.extend(traffic::accept(&listener, 1, Duration::ZERO, steps::LIMIT)?);
    traffic::echo(&streams[0], 5000)?;
    traffic::echo(&streams[3], 700)?;
    let ledger = host::ledger()?;
    top.wait("those that did something, whole; each once", |s| {
        let seen = s.connections()?;
        ensure!(seen.len() == 5, "expected five, got {seen:?}");
        for conn in ledger.conns.iter().filter(|c| c.rx_bytes > 0) {
            let value = compare::find(seen, conn)?;
            compare::figures(value, conn)?;
            ensure!(value["known_since_start"] == false && value["state"] == "established", "{value}");
            let accepted = value["direction"] == "from_host";
            let owner = if accepted { Value::from(std::process::id()) } else { Value::Null };
            ensure!(value["pid"] == owner, "expected the owner {owner} in {value}");
        }
        for value in seen {
            let before = first.connections()?.iter().find(|v| v["relid"] == value["relid"]);
            ensure!(before.is_some_and(|v| v["id"] == value["id"]), "another id than before: {value}");
        }
        compare::accounting(s)
    })?;
    // The child that nobody accepts goes with its listener.
    drop((listener, idle));
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("all ends are seen", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/closed_connections", 5)?;
        compare::expect(s, "totals/never_accepted", 1)?;
        compare::expect(s, "totals/tx_bytes", 5700)?;
        let closes = s.sum("closes")?;
        ensure!(closes == 5, "closes: expected 5, got {closes}");
        no_latency(s)?;
        compare::accounting(s)
    })?;
    top.stop()
}

fn doctor() -> Result<Snapshot> {
    let ended = once::hvsock_top(&["doctor", "--json", "--deny-probe", "inventory"])?;
    ensure!(ended.code == Some(0), "doctor: {ended:?}");
    let report = Snapshot(schema::DOCTOR.parse(&ended.stdout)?);
    ensure!(report.at("verdict").is_some_and(|v| v == "degraded"), "verdict: {:?}", report.at("verdict"));
    Ok(report)
}

fn codes(report: &Snapshot) -> Result<Vec<&str>> {
    Ok(report.list("problems")?.iter().filter_map(|p| p["code"].as_str()).collect())
}

fn module(script: &str) -> Result<()> {
    let ended = once::shell(script)?;
    ensure!(ended.code == Some(0), "{script}: {ended:?}");
    Ok(())
}
