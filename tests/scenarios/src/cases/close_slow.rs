//! The guest closes, and the host is slow to answer, or does not.

use std::cell::Cell;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare::{self, near};
use crate::events::{Events, count};
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "close_slow",
    "a close that the host answers late, and one that it never answers, which ends after 8 s",
    run,
);

/// hv_sock's patience with the host (`HVS_CLOSE_TIMEOUT`), in nanoseconds.
const TIMEOUT: u64 = 8_000_000_000;

/// By so much the kernel rounds such a delay up: its timer wheel (kernel/time/timer.c) goes in steps of 64 jiffies for all that lies between 504 and
/// 4,032 jiffies ahead, and a jiffy is 4 ms in the kernels of the matrix.
const TIMER_STEP: u64 = 64 * 4_000_000;

fn run() -> Result<()> {
    host::host("mode 5400 stall")?;
    host::host("mode 5401 linger")?;
    let events = Events::start()?;
    let top = Top::start()?;

    // The host does not even read the FIN, for 700 ms.
    let late = traffic::connect(5400)?;
    late.send(&[0; 1000])?;
    let begun = uptime()?;
    drop(late);
    top.wait("a connection that is closing", |s| {
        let value = s.connection()?;
        ensure!(value["state"] == "closing", "not closing: {value}");
        ensure!(value["latency"]["close_ns"].is_null(), "closed before it is: {value}");
        near("the end so far", number(value, "ending_for_ns")?, s.number("uptime_ns")? - begun)?;
        compare::expect(s, "latency/close/count", 0)
    })?;
    thread::sleep(Duration::from_millis(700));
    host::host("release 5400")?;
    let ledger = steps::all_gone()?;
    let imposed = ledger.conns[0].rescinded_ns - begun;
    let snapshot = steps::exact(&top)?;
    snapshot.check(|s| {
        compare::expect_all(
            s,
            &[("closes/graceful", 1), ("closes/timed_out", 0), ("closes/by_host", 0), ("closes/other", 0)],
        )?;
        near("the close", s.number("latency/close/max_ns")?, imposed)
    })?;

    let never = traffic::connect(5401)?;
    never.send(&[0; 2000])?;
    steps::exact(&top)?;
    let begun = uptime()?;
    drop(never);
    // It is closing for as long as hv_sock waits, however often one looks.
    let closing = Cell::new(0);
    let snapshot = top.wait("a close that has timed out", |s| {
        if s.number("closes/timed_out")? == 0 && s.number("uptime_ns")? < begun + TIMEOUT {
            closing.set(closing.get() + u64::from(s.connection()?["state"] == "closing"));
            let (since, now) = (number(s.connection()?, "ending_for_ns")?, s.number("uptime_ns")?);
            near("the end so far", since, now - begun)?;
        }
        compare::expect(s, "closes/timed_out", 1)
    })?;
    ensure!(closing.get() > 5, "seen closing {} times in 8 s", closing.get());
    let passed = uptime()? - begun;
    snapshot.check(|s| {
        let took = number(s.connection()?, "latency/close_ns")?;
        ensure!(
            (TIMEOUT..=TIMEOUT + TIMER_STEP + TIMEOUT / 100).contains(&took),
            "the close: expected 8 s, and at most {TIMER_STEP} ns more, got {took} ns"
        );
        ensure!(passed >= took, "the close took longer than there was time");
        compare::expect(s, "latency/close/max_ns", took)
    })?;
    // The channel is the host's, and it has not taken it back: the connection is there as long as it takes.
    host::host("rescind 5401")?;
    let snapshot = steps::all_gone_exact(&top)?;
    snapshot.check(|s| {
        compare::expect_all(
            s,
            &[
                ("closes/graceful", 1),
                ("closes/timed_out", 1),
                ("closes/by_host", 0),
                ("closes/other", 0),
                ("latency/close/count", 2),
                ("totals/tx_bytes", 3000),
            ],
        )
    })?;
    events.wait("both closes with their reasons", |seen| {
        let of = |why| count(seen, "closed", Some(why), 0);
        ensure!((of("graceful"), of("timed_out")) == (1, 1), "closes: {seen:?}");
        ensure!(seen.len() == 4, "expected 4 events, got {}", seen.len());
        Ok(())
    })?;
    events.stop()?;
    top.stop()
}
