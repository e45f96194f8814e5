//! Opens of the host's that fail for want of memory, or for reasons that are rare.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::compare;
use crate::events::{Events, count};
use crate::faults::Fault;
use crate::histograms;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "faults_opens",
    "no memory for a socket, its transport or the rings, an unknown error, a listener that begins to listen in between",
    run,
);

/// Outcome, port, how often, errno of the event.
const FAILURES: [(&str, u32, u64, Option<u64>); 5] = [
    ("nomem_sock", 6110, 2, None),
    ("transport", 6111, 3, Some(12)),
    ("ring_enomem", 6112, 4, Some(12)),
    ("other", 6113, 5, Some(5)),
    ("ambiguous", 6114, 1, None),
];

/// A call that takes the socket's memory fails, and so on, in the order of the above.
fn fault(why: &str, times: u64) -> Result<Fault> {
    match why {
        "nomem_sock" => Fault::fail("sk_alloc", 0, times, "hvs_probe"),
        "transport" => Fault::fail("hvs_sock_init", -12, times, "hvs_probe"),
        // Memory is asked for twice: near the channel's CPU, then anywhere.
        "ring_enomem" => Fault::fail("__alloc_pages", 0, 2 * times, "vmbus_alloc_ring"),
        // The first message about the rings cannot be sent.
        "other" => Fault::fail("vmbus_post_msg", -5, times, "vmbus_open"),
        // hv_sock has seen that it does not listen, and let it go; now it begins to, before hvsock-top looks.
        _ => Fault::pause("release_sock", 500, "hvs_probe"),
    }
}

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    let mut listeners = Vec::new();
    for (why, port, _, _) in FAILURES {
        let bound = Listener::bound(port).context("cannot bind")?;
        if why != "ambiguous" {
            bound.listen(8).context("cannot listen")?;
        }
        listeners.push(bound);
    }
    // One that is there all the while, with the rings that its listener's buffers ask for.
    host::host("connect 6112 echo")?;
    let stream = listeners[2].accept(steps::LIMIT)?.context("nothing to accept")?;

    for ((why, port, times, _), listener) in FAILURES.into_iter().zip(&listeners) {
        let fault = fault(why, times)?;
        host::host(&format!("connect {port} echo 0 {times}"))?;
        fault.wait()?;
        if why == "ambiguous" {
            listener.listen(8).context("cannot listen")?;
        }
        steps::wait_ledger("the host has taken back what was not opened", |l| {
            l.of_service(port).filter(|c| c.refused && !c.live()).count() as u64 == times
        })?;
        fault.end()?;
    }
    let finding = top.finds("ring_memory")?;
    ensure!(finding["severity"] == "critical", "opens have failed: {finding}");
    ensure!(finding["evidence"]["failed_opens"] == 4, "4 have failed: {finding}");

    let snapshot = top.wait("each failure in its place, and nothing else", |s| {
        for (why, port, times, _) in FAILURES {
            compare::expect(s, &format!("opens/from_host/{why}"), times)?;
            let seen = s.list("ports")?.iter().find(|p| p["port"] == port).context("no such port")?;
            compare::expect_of(seen, &[(&format!("offers/{why}"), times)])?;
        }
        let all = FAILURES.iter().map(|(_, _, times, _)| *times).sum::<u64>() + 1;
        ensure!(s.sum("opens/from_host")? == all, "{all} opens in all: {:?}", s.at("opens"));
        compare::expect_all(s, &[("opens/from_host/ok", 1), ("closes/other", 0)])?;
        histograms::consistent(s)?;
        compare::accounting(s)
    })?;
    let order = snapshot.connection()?["rings"]["alloc_order"].clone();
    ensure!(finding["evidence"]["alloc_order"] == order, "the order is {order}: {finding}");
    events.wait("an event for each", |seen| {
        for (why, port, times, errno) in FAILURES {
            let got = count(seen, "open_failed", Some(why), port) as u64;
            ensure!(got == times, "{why} at {port}: expected {times} events, got {got}");
            let mut these = seen.iter().filter(|e| e["why"] == why);
            ensure!(these.all(|e| e["errno"] == errno.map_or(Value::Null, Value::from)), "errno: {seen:?}");
        }
        Ok(())
    })?;

    // Everything works again, and nothing of the failures has stuck.
    traffic::echo(&stream, 5000)?;
    let mut streams = vec![stream];
    for ((_, port, _, _), listener) in FAILURES.into_iter().zip(&listeners) {
        host::host(&format!("connect {port} echo"))?;
        let stream = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
        traffic::echo(&stream, 3000)?;
        streams.push(stream);
    }
    steps::exact(&top)?;
    drop((streams, listeners));
    steps::all_gone_exact(&top)?;
    std::thread::sleep(Duration::from_millis(100));
    events.stop()?;
    top.stop()
}
