//! Every way in which a connect of the guest's fails.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::vsock::Stream;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::events::{Events, count};
use crate::histograms;
use crate::interrupt::interrupt;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "connect_failures",
    "connects that time out, are interrupted, given up, refused, and offers that come too late",
    run,
);

/// Kind of event, why, the host's port, how often.
const FAILURES: [(&str, &str, u32, usize); 12] = [
    ("connect_failed", "timed_out", 5100, 2),
    ("connect_failed", "interrupted", 5101, 1),
    ("connect_failed", "abandoned", 5102, 1),
    ("connect_failed", "timed_out", 5103, 1),
    ("open_failed", "host_refused", 5103, 1),
    ("connect_failed", "timed_out", 5104, 1),
    ("connect_failed", "timed_out", 5105, 1),
    ("open_failed", "rescinded", 5105, 1),
    // Late offers: the socket is gone, or there, but no longer waits.
    ("open_failed", "no_listener", 5104, 1),
    ("open_failed", "bad_state", 5107, 1),
    ("connect_failed", "timed_out", 5107, 1),
    // The host says no, in a message that this kernel does not know.
    ("connect_failed", "timed_out", 5108, 1),
];

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    for mode in [
        "5100 ignore",
        "5101 ignore",
        "5102 ignore",
        "5103 refuse",
        "5104 delay 3000",
        "5105 noopen",
        "5107 delay 3000",
        "5108 reject",
    ] {
        host::host(&format!("mode {mode}"))?;
    }
    host::host("mode 5106 echo")?;

    // All of them at once: each waits 2 s.
    let waiting = |port| thread::spawn(move || Stream::connect(port).map(drop));
    let ignored = waiting(5100);
    let refused = waiting(5103);
    let late = waiting(5104);
    let rejected = waiting(5108);
    let interrupted = waiting(5101);
    let nonblocking = Stream::connect_nonblocking(5100)?;
    let kept = Stream::connect_nonblocking(5107)?;
    let abandoned = Stream::connect_nonblocking(5102)?;
    thread::sleep(Duration::from_millis(500));
    drop(abandoned);
    interrupt(&interrupted)?;
    ends_with(interrupted, ErrorKind::Interrupted)?;
    for stream in [&nonblocking, &kept] {
        let error = stream.connected(Duration::from_secs(5)).err();
        ensure!(error.as_ref().is_some_and(|e| e.kind() == ErrorKind::TimedOut), "not a time-out: {error:?}");
    }
    for thread in [ignored, refused, late, rejected] {
        ends_with(thread, ErrorKind::TimedOut)?;
    }
    steps::wait_ledger("the late offers have come and gone", |l| {
        [5104, 5107].iter().all(|port| l.of_service(*port).any(|c| c.offered_ns > 0 && !c.live()))
    })?;
    drop(kept);
    // The worker that opens waits for the host's answer to this one, and holds the socket's lock meanwhile.
    let unanswered = waiting(5105);
    thread::sleep(Duration::from_millis(300));
    host::host("rescind 5105")?;
    ends_with(unanswered, ErrorKind::TimedOut)?;
    // One that comes about, to be told from the rest.
    let stream = traffic::connect(5106)?;
    traffic::echo(&stream, 100)?;
    traffic::close(stream)?;
    let ledger = steps::all_gone()?;
    let opened = ledger.conns.iter().filter(|c| c.opened_ns > 0).count();
    ensure!(opened == 1, "{opened} were opened, expected 1");

    top.wait("each failure in its place, and nothing else", |s| {
        compare::expect_all(
            s,
            &[
                ("opens/to_host/ok", 1),
                ("opens/to_host/timed_out", 7),
                ("opens/to_host/interrupted", 1),
                ("opens/to_host/abandoned", 1),
                ("opens/to_host/host_refused", 1),
                ("opens/to_host/late_offers", 2),
                // A connect that failed is no connect that took 2 s.
                ("latency/connect/count", 1),
                ("totals/host_refusals", 1),
                ("opens/to_host/refused", 0),
                ("opens/to_host/unreachable", 0),
                ("opens/to_host/not_permitted", 0),
                ("opens/to_host/other", 0),
                ("opens/to_host/ring_enomem", 0),
            ],
        )?;
        let mut connects = std::collections::BTreeMap::new();
        for (kind, why, port, times) in FAILURES {
            if kind == "connect_failed" {
                connects.insert((port, why), times as u64);
            }
        }
        for ((port, why), times) in connects {
            let found = s.list("ports")?.iter().find(|p| p["port"] == port && p["direction"] == "to_host");
            let found = found.with_context(|| format!("nothing of port {port}"))?;
            compare::expect_of(found, &[(&format!("connects/{why}"), times)])?;
        }
        ensure!(s.number("latency/connect/max_ns")? < 1_000_000_000, "a time-out is in the histogram");
        ensure!(s.sum("opens/from_host")? == 0, "opens from the host: {:?}", s.at("opens"));
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        histograms::consistent(s)?;
        compare::accounting(s)
    })?;
    events.wait("an event for each", |seen| {
        for (kind, why, port, times) in FAILURES {
            let got = count(seen, kind, Some(why), port);
            ensure!(got == times, "{kind} {why} at {port}: expected {times}, got {got}");
        }
        let (opened, closed) = (count(seen, "opened", None, 0), count(seen, "closed", None, 0));
        ensure!((opened, closed) == (1, 1), "{opened} opened and {closed} closed, expected one each");
        Ok(())
    })?;
    events.stop()?;
    top.stop()
}

fn ends_with(thread: thread::JoinHandle<std::io::Result<()>>, kind: ErrorKind) -> Result<()> {
    let result = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
    ensure!(result.as_ref().is_err_and(|e| e.kind() == kind), "expected {kind:?}, got {result:?}");
    Ok(())
}
