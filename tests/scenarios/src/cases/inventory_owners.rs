//! What it takes to know who has an older connection, where the kernel has no iterator.

use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::json;

use super::inventory;
use super::inventory_fallback::WITHOUT;
use crate::compare;
use crate::events::Events;
use crate::once;
use crate::runner::Scenario;
use crate::schema;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "inventory_owners",
        "without the iterator and the right to look at others' files: owners unknown, and how many were not seen",
        run,
    )
};

/// All that the rest takes, at any level of `kernel.perf_event_paranoid`.
const REST: &str = "BPF,PERFMON,SYS_ADMIN";

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let stream = traffic::connect(5000)?;
    let listener = Listener::bind(6003, 5).context("cannot listen")?;
    // Each start takes its time, so doctor is asked twice only.
    for (more, seen, told) in [
        (",DAC_READ_SEARCH", false, false),
        (",SYS_PTRACE", false, true),
        (",SYS_PTRACE,DAC_READ_SEARCH", true, true),
    ] {
        one(&format!("{REST}{more}"), seen, told).with_context(|| format!("with {REST}{more}"))?;
    }
    closed_by_its_owner(stream)?;
    let result = after_reload(&listener);
    // The scenarios that follow want it loaded, whatever happened.
    module("grep -q '^hv_sock ' /proc/modules || insmod /mod/hv_sock.ko")?;
    result
}

/// Nobody was seen opening it, yet its end says whose it was.
fn closed_by_its_owner(stream: Stream) -> Result<()> {
    let port = stream.ports()?.guest;
    let events = Events::start_with(WITHOUT)?;
    traffic::close(stream)?;
    steps::all_gone()?;
    events.wait("one end, and whose it was", |seen| {
        let [event] = seen else { bail!("expected one event, got {seen:?}") };
        ensure!(event["event"] == "closed" && event["local_port"] == port, "another event: {event}");
        ensure!(event["pid"] == std::process::id() && event["comm"] == "scenarios", "not its owner: {event}");
        ensure!(event["duration_ns"].is_null(), "nobody knows how long it lived: {event}");
        Ok(())
    })?;
    events.stop()
}

/// While hv_sock can go and come back, the right to look stays at hand: the listener outlives the module, and its owner is found again.
fn after_reload(listener: &Listener) -> Result<()> {
    let owner = json!([std::process::id(), listener.as_fd().as_raw_fd(), null, null, 0]);
    let top = Top::start_with(&[WITHOUT, &["--kprobes"]].concat())?;
    top.wait("the listener", |s| inventory::listener(s, 6003, &owner))?;
    module("rmmod hv_sock")?;
    let absent = |s: &Snapshot| s.at("host/hv_sock").is_some_and(|v| v == "absent");
    top.wait("that hv_sock is gone", |s| {
        ensure!(absent(s), "hv_sock: {:?}", s.at("host/hv_sock"));
        Ok(())
    })?;
    module("insmod /mod/hv_sock.ko")?;
    top.wait("that hv_sock is back, and who listens", |s| {
        ensure!(!absent(s), "hv_sock: {:?}", s.at("host/hv_sock"));
        inventory::listener(s, 6003, &owner)
    })?;
    let stream = traffic::connect(5000)?;
    traffic::echo(&stream, 100)?;
    let ledger = host::ledger()?;
    top.wait("a connection, seen from its beginning", |s| compare::live(s, &ledger))?;
    traffic::close(stream)?;
    steps::all_gone()?;
    top.stop()
}

fn module(script: &str) -> Result<()> {
    let ended = once::shell(script)?;
    ensure!(ended.code == Some(0), "{script}: {ended:?}");
    Ok(())
}

fn one(capabilities: &str, seen: bool, told: bool) -> Result<()> {
    let run = |arguments: &str| -> Result<String> {
        let ended = once::shell(&format!(
            "guest caps {capabilities} -- hvsock-top --deny-probe inventory {arguments}"
        ))?;
        ensure!(ended.code == Some(0), "{arguments}: {ended:?}");
        Ok(ended.stdout)
    };
    let snapshot = Snapshot::parse(&run("json --once")?)?;
    let (connection, listener) = (snapshot.connection()?, snapshot.listener(6003)?);
    ensure!(connection["state"] == "established" && connection["remote_port"] == 5000, "{connection}");
    for value in [connection, listener] {
        let myself =
            value["pid"] == std::process::id() && value["comm"] == "scenarios" && value["fd"].is_u64();
        let nobody = value["pid"].is_null() && value["comm"].is_null() && value["fd"].is_null();
        ensure!(if seen { myself } else { nobody }, "expected its owner: {seen}; got {value}");
    }
    if !told {
        return Ok(());
    }
    let report = Snapshot(schema::DOCTOR.parse(&run("doctor --json")?)?);
    let problem = report.list("problems")?.iter().find(|p| p["code"] == "owners_unseen");
    let processes = report.number("inventory/processes_not_seen")?;
    match problem {
        None => ensure!(seen && processes == 0, "it does not say that {processes} were not seen"),
        Some(problem) => {
            // This one, and init.
            ensure!(!seen && processes >= 2, "{processes} processes not seen: {problem}");
            let command = problem["command"].as_str().unwrap_or_default();
            for name in ["cap_sys_ptrace", "cap_dac_read_search", "cap_bpf", "cap_sys_admin"] {
                ensure!(command.contains(name), "no {name} in the command: {problem}");
            }
        }
    }
    Ok(())
}
