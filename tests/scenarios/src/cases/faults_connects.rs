//! Connects of the guest's that fail in every way the kernel has a word for, and writes that fail.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Stream;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::events::{Events, count};
use crate::faults::Fault;
use crate::histograms;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "faults_connects",
    "connects refused, unreachable, forbidden and failed otherwise, by errno; no memory for rings; writes that fail",
    run,
);

/// What the request to the host returns, and what that is.
const ERRORS: [(i64, &str); 9] = [
    (libc::ECONNREFUSED as i64, "refused"),
    (libc::ECONNRESET as i64, "refused"),
    (libc::ENETUNREACH as i64, "unreachable"),
    (libc::EHOSTUNREACH as i64, "unreachable"),
    (libc::ENODEV as i64, "unreachable"),
    (libc::EPERM as i64, "not_permitted"),
    (libc::EACCES as i64, "not_permitted"),
    (libc::EIO as i64, "other"),
    (libc::EINVAL as i64, "other"),
];

/// The host's port of each outcome.
const PORTS: [(&str, u32); 4] =
    [("refused", 5610), ("unreachable", 5611), ("not_permitted", 5612), ("other", 5613)];

/// Where connects find no memory for their rings, and where writes fail.
const NO_MEMORY: u32 = 5614;
const WRITES: u32 = 5615;

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    let mut wanted = BTreeMap::new();
    // Each outcome another number of times.
    for (turn, (why, port)) in PORTS.into_iter().enumerate() {
        for (errno, _) in ERRORS.into_iter().filter(|(_, of)| *of == why) {
            for _ in 0..=turn {
                let fault = Fault::fail("vmbus_send_tl_connect_request", -errno, 1, "vsock_connect")?;
                let error = Stream::connect(port).err().and_then(|e| e.raw_os_error());
                ensure!(error.map(i64::from) == Some(errno), "expected {errno}, got {error:?}");
                fault.end()?;
                *wanted.entry((why, port)).or_insert(0) += 1;
            }
        }
    }
    let fault = Fault::fail("__alloc_pages", 0, 2, "vmbus_alloc_ring")?;
    let error = Stream::connect(NO_MEMORY).err().map(|e| e.kind());
    ensure!(error == Some(std::io::ErrorKind::TimedOut), "connected without a ring: {error:?}");
    fault.end()?;
    steps::all_gone()?;

    top.finds("ring_memory")?;
    top.wait("each failure in its place, and nothing else", |s| {
        for ((why, port), times) in &wanted {
            compare::expect(s, &format!("opens/to_host/{why}"), *times)?;
            let seen = s.list("ports")?.iter().find(|p| p["port"] == *port).context("no such port")?;
            compare::expect_of(seen, &[(&format!("connects/{why}"), *times)])?;
        }
        compare::expect_all(
            s,
            &[
                ("opens/to_host/ring_enomem", 1),
                ("opens/to_host/timed_out", 1),
                ("opens/to_host/ok", 0),
                ("opens/to_host/interrupted", 0),
                ("opens/to_host/abandoned", 0),
                ("opens/to_host/late_offers", 0),
                ("opens/to_host/host_refused", 0),
                ("latency/connect/count", 0),
            ],
        )?;
        histograms::consistent(s)?;
        compare::accounting(s)
    })?;
    events.wait("an event for each", |seen| {
        for ((why, port), times) in &wanted {
            let got = count(seen, "connect_failed", Some(why), *port) as u64;
            ensure!(got == *times, "{why} at {port}: expected {times} events, got {got}");
        }
        for (errno, why) in ERRORS {
            ensure!(seen.iter().any(|e| e["why"] == why && e["errno"] == errno), "no event of errno {errno}");
        }
        let got = count(seen, "open_failed", Some("ring_enomem"), NO_MEMORY);
        ensure!(got == 1, "expected one event of the rings, got {got}");
        Ok(())
    })?;
    writes(&top)?;
    events.stop()?;
    top.stop()
}

/// Writes into the ring that fail: told to the sender, counted, and nothing of them arrives.
fn writes(top: &Top) -> Result<()> {
    const TIMES: u64 = 3;
    host::host(&format!("mode {WRITES} echo"))?;
    let stream = traffic::connect(WRITES)?;
    traffic::echo(&stream, 1000)?;
    let fault = Fault::fail("hv_ringbuffer_write", -i64::from(libc::EIO), TIMES, "vmbus_sendpacket")?;
    let mut told = None;
    for _ in 0..TIMES {
        // Older kernels say ENOMEM whatever the matter was.
        told = stream.send_once(&[0; 100]).err().and_then(|e| e.raw_os_error());
        ensure!(matches!(told, Some(libc::EIO | libc::ENOMEM)), "a write that should have failed: {told:?}");
    }
    let told = told.map_or(0, |errno| errno as u64);
    fault.end()?;
    traffic::echo(&stream, 2000)?;
    let ledger = host::ledger()?;
    top.wait("the writes that failed", |s| {
        let value = s.connection()?;
        let sent = ledger.of_service(WRITES).next().context("not in the ledger")?;
        let wanted = [
            ("tx/failed_writes", TIMES),
            ("tx/last_error", told),
            ("tx/bytes", sent.rx_bytes),
            ("tx/packets", sent.rx_packets),
        ];
        compare::expect_of(value, &wanted)?;
        ensure!(number(value, "tx/calls")? >= TIMES, "calls: {value}");
        compare::expect(s, "totals/failed_writes", TIMES)?;
        let port = s.list("ports")?.iter().find(|p| p["port"] == WRITES).context("no such port")?;
        compare::expect_of(port, &[("failed_writes", TIMES)])?;
        compare::accounting(s)
    })?;
    traffic::close(stream)?;
    steps::all_gone()?;
    // Gone with its connection, it is still in the sums.
    top.wait("the same in the sums", |s| {
        compare::expect(s, "totals/failed_writes", TIMES)?;
        compare::by_port(s)
    })?;
    Ok(())
}
