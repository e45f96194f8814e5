//! Readers that wait for data, and data that waits for readers.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hvsock_guest::{host, traffic};

use crate::compare::{self, near};
use crate::interrupt::interrupt;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "receive_wait",
    "waits that end in data, by time-out, by a signal; a slow reader whose ring fills up",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5310 sink")?;
    let top = Top::start()?;
    let stream = traffic::connect(5310)?;

    // In data.
    let other = stream.another()?;
    let begun = uptime()?;
    let reader = thread::spawn(move || other.receive_exact(&mut [0; 100]).map(|()| uptime()));
    top.wait("the present wait", |s| {
        let value = s.connection()?;
        compare::expect_of(value, &[("rx/waits", 1), ("rx/wait_ns", 0)])?;
        near("the wait so far", number(value, "rx/waiting_for_ns")?, s.number("uptime_ns")? - begun)
    })?;
    thread::sleep(Duration::from_millis(300));
    host::host("write 100 5310")?;
    let first = reader.join().map_err(|_| anyhow!("the reader panicked"))??? - begun;
    let mut imposed = first;
    let shows = |waits, in_data, errors, imposed| {
        top.wait("the waits so far", |s| {
            let value = s.connection()?;
            let wanted = [
                ("rx/waits", waits),
                ("rx/waiting_for_ns", 0),
                ("rx/bytes", 100),
                ("rx/packets", 1),
                ("rx/errors", errors),
                ("rx/last_error", if errors == 0 { 0 } else { libc::EINTR as u64 }),
            ];
            compare::expect_of(value, &wanted)?;
            compare::expect(s, "latency/recv_wait/count", in_data)?;
            near("the wait that ended in data", s.number("latency/recv_wait/max_ns")?, first)?;
            near("the sum of waits", number(value, "rx/wait_ns")?, imposed)?;
            near("the sum of waits", s.number("totals/wait_ns")?, imposed)
        })
    };
    shows(1, 1, 0, imposed)?;

    // By time-out: that is EAGAIN, and no error.
    stream.set_patience(Duration::from_millis(400))?;
    let begun = uptime()?;
    let error = stream.receive(&mut [0; 100]).err();
    imposed += uptime()? - begun;
    ensure!(error.as_ref().is_some_and(|e| e.kind() == ErrorKind::WouldBlock), "no time-out: {error:?}");
    shows(2, 1, 0, imposed)?;

    // By a signal, with a time limit and without.
    for (waits, errors) in [(3, 1), (4, 2)] {
        if waits == 3 {
            stream.set_patience(Duration::from_secs(20))?;
        } else {
            stream.set_no_limit()?;
        }
        let other = stream.another()?;
        let begun = uptime()?;
        let reader = thread::spawn(move || other.receive(&mut [0; 100]));
        thread::sleep(Duration::from_millis(400));
        interrupt(&reader)?;
        let result = reader.join().map_err(|_| anyhow!("the reader panicked"))?;
        imposed += uptime()? - begun;
        ensure!(result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Interrupted), "not EINTR: {result:?}");
        shows(waits, 1, errors, imposed)?;
    }
    stream.set_patience(Duration::from_secs(20))?;
    steps::exact(&top)?;
    traffic::close(stream)?;
    steps::all_gone_exact(&top)?;

    slow_reader(&top)?;
    top.stop()
}

/// The host sends more than the ring holds, the guest reads late, then slowly.
fn slow_reader(top: &Top) -> Result<()> {
    const BYTES: usize = 200_000;
    host::host(&format!("mode 5311 source {BYTES}"))?;
    let stream = traffic::connect(5311)?;
    let ledger = steps::wait_ledger("the ring is as full as it gets", |l| {
        l.of_service(5311).any(|c| c.in_size > 0 && c.in_size - c.in_used < 8192)
    })?;
    let conn = &ledger.conns.last().ok_or_else(|| anyhow!("the ledger is empty"))?;
    top.wait("a full ring that nobody reads", |s| {
        let value = compare::find(s.connections()?, conn)?;
        compare::expect_of(
            value,
            &[
                ("rings/in/used_bytes", conn.in_used),
                ("rings/in/max_used_bytes", conn.in_used),
                ("rx/bytes", 0),
                ("rx/packets", 0),
                ("rx/waits", 0),
            ],
        )?;
        ensure!(value["rings"]["in"]["unread_bytes"].is_null(), "unread bytes before a rescind: {value}");
        Ok(())
    })?;
    let mut total = 0;
    let mut buffer = [0; 3000];
    loop {
        match stream.receive(&mut buffer)? {
            0 => break,
            n => total += n,
        }
        if total < 40_000 {
            thread::sleep(Duration::from_millis(20));
        }
    }
    ensure!(total == BYTES, "{total} bytes of {BYTES} were received");
    let snapshot = steps::exact(top)?;
    let value = snapshot.connection()?;
    compare::expect_of(value, &[("rx/bytes", BYTES as u64), ("rings/in/used_bytes", 0)])?;
    traffic::close(stream)?;
    steps::all_gone_exact(top).map(drop)
}
