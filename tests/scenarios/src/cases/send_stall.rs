//! Senders that wait for a host that does not read.

use std::io::ErrorKind;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::host;
use hvsock_guest::traffic::{self, pattern};
use hvsock_guest::vsock::Stream;

use crate::compare::{self, near};
use crate::interrupt::interrupt;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "send_stall",
    "stalls that end in room, by time-out, by a signal, after a part was sent; EAGAIN and short writes",
    run,
);

const MS: u64 = 1_000_000;
/// What a full ring of the default size holds.
const PAYLOAD: u64 = 24_344;
const MORE: usize = 64 << 10;

fn run() -> Result<()> {
    host::host("mode 5300 stall")?;
    let top = Top::start()?;
    let (mut wanted, mut imposed) = (Wanted::default(), 0);
    let stream = traffic::connect(5300)?;

    // A send that the ring cannot hold takes a part; every further one that must not wait says EAGAIN.
    ensure!(stream.send_now(&pattern(0, MORE))? as u64 == PAYLOAD, "the ring takes another amount");
    for _ in 0..7 {
        let error = stream.send_now(b"x").err();
        ensure!(error.as_ref().is_some_and(|e| e.kind() == ErrorKind::WouldBlock), "no EAGAIN: {error:?}");
    }
    wanted.calls = 1;
    wanted.short_writes = 1;
    wanted.eagain = 7;
    wanted.last_error = libc::EAGAIN;
    wanted.check(&top, imposed)?;

    // Ends by time-out: no EAGAIN of a send that would not wait, and no stall that ended in room.
    imposed += timed(|| {
        stream.set_patience(Duration::from_millis(400))?;
        let error = stream.send_once(b"x").err();
        ensure!(error.as_ref().is_some_and(|e| e.kind() == ErrorKind::WouldBlock), "no time-out: {error:?}");
        Ok(())
    })?;
    wanted.stalls = 1;
    wanted.check(&top, imposed)?;

    // Ends by a signal, with a time limit and without.
    for limit in [true, false] {
        imposed += timed(|| {
            if limit {
                stream.set_patience(Duration::from_secs(20))?;
            } else {
                stream.set_no_limit()?;
            }
            let other = stream.another()?;
            let sender = thread::spawn(move || other.send_once(b"x"));
            thread::sleep(Duration::from_millis(400));
            interrupt(&sender)?;
            let result = sender.join().map_err(|_| anyhow!("the sender panicked"))?;
            ensure!(
                result.as_ref().is_err_and(|e| e.kind() == ErrorKind::Interrupted),
                "not EINTR: {result:?}"
            );
            Ok(())
        })?;
        wanted.stalls += 1;
        wanted.last_error = libc::EINTR;
        wanted.check(&top, imposed)?;
    }
    stream.set_patience(Duration::from_secs(20))?;
    let in_room = in_room(&top, &stream)?;
    imposed += in_room;
    wanted.stalls += 1;
    wanted.in_room = 1;
    wanted.calls += 1;
    wanted.check(&top, imposed)?;
    steps::exact(&top)?;
    traffic::close(stream)?;
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    snapshot.check(|s| {
        compare::expect_all(
            s,
            &[
                ("totals/stalls", wanted.stalls),
                ("totals/eagain", wanted.eagain),
                ("totals/short_writes", wanted.short_writes),
                ("totals/failed_writes", 0),
                ("totals/teardown_failures", 0),
            ],
        )?;
        near("the stall that ended in room", s.number("latency/send_stall/max_ns")?, in_room)?;
        near("the sum of stalls", s.number("totals/stall_ns")?, imposed)
    })?;

    partly_sent(&top)?;
    as_the_host_sees_it(&top)?;
    top.stop()
}

/// What one connection must show by now.
#[derive(Default)]
struct Wanted {
    calls: u64,
    short_writes: u64,
    eagain: u64,
    stalls: u64,
    in_room: u64,
    last_error: i32,
}

impl Wanted {
    fn check(&self, top: &Top, imposed: u64) -> Result<()> {
        top.wait("the stalls so far", |s| {
            let value = s.connection()?;
            let wanted = [
                ("tx/calls", self.calls),
                ("tx/short_writes", self.short_writes),
                ("tx/eagain", self.eagain),
                ("tx/stalls", self.stalls),
                ("tx/last_error", self.last_error as u64),
                ("tx/failed_writes", 0),
                ("tx/stalled_for_ns", 0),
            ];
            compare::expect_of(value, &wanted)?;
            compare::expect(s, "latency/send_stall/count", self.in_room)?;
            near("the sum of stalls", number(value, "tx/stall_ns")?, imposed)
        })
        .map(drop)
    }
}

/// How long it took.
fn timed(action: impl FnOnce() -> Result<()>) -> Result<u64> {
    let begun = uptime()?;
    action()?;
    Ok(uptime()? - begun)
}

/// A stall that ends because the host reads; while it lasts, its length so far is shown.
fn in_room(top: &Top, stream: &Stream) -> Result<u64> {
    let other = stream.another()?;
    let begun = uptime()?;
    let sender = thread::spawn(move || other.send(b"more").map(|()| uptime()));
    let mut last = 0;
    for _ in 0..2 {
        let snapshot = top.wait("the present stall", |s| {
            let lasts = number(s.connection()?, "tx/stalled_for_ns")?;
            ensure!(lasts > last, "it does not grow: {last} to {lasts}");
            near("the stall so far", lasts, s.number("uptime_ns")? - begun)
        })?;
        last = number(snapshot.connection()?, "tx/stalled_for_ns")?;
    }
    host::host("release 5300")?;
    let ended = sender.join().map_err(|_| anyhow!("the sender panicked"))?.context("the stalled send")??;
    Ok(ended - begun)
}

/// A send that gives up after it has sent a part returns no error, and its stall has ended all the same.
fn partly_sent(top: &Top) -> Result<()> {
    host::host("mode 5301 stall")?;
    let stream = traffic::connect(5301)?;
    stream.set_patience(Duration::from_millis(400))?;
    let begun = uptime()?;
    let sent = stream.send_once(&pattern(0, MORE))?;
    let imposed = uptime()? - begun;
    ensure!(sent as u64 == PAYLOAD, "{sent} bytes were sent");
    thread::sleep(Duration::from_millis(500));
    top.wait("a stall that has ended with a part sent", |s| {
        let value = s.connection()?;
        compare::expect_of(
            value,
            &[("tx/stalls", 1), ("tx/stalled_for_ns", 0), ("tx/bytes", PAYLOAD), ("tx/eagain", 0)],
        )?;
        near("the stall", number(value, "tx/stall_ns")?, imposed)
    })?;
    host::host("release 5301")?;
    stream.set_patience(Duration::from_secs(20))?;
    traffic::close(stream)?;
    steps::all_gone_exact(top).map(drop)
}

/// One send from an empty ring to a host that reads again after a while: the ledger's time of a full ring.
fn as_the_host_sees_it(top: &Top) -> Result<()> {
    host::host("mode 5302 stall")?;
    let stream = traffic::connect(5302)?;
    let other = stream.another()?;
    let sender = thread::spawn(move || other.send(&pattern(0, PAYLOAD as usize + 1000)));
    steps::wait_ledger("the ring is full", |l| l.of_service(5302).any(|c| c.full_since_ns > 0))?;
    thread::sleep(Duration::from_millis(600));
    host::host("release 5302")?;
    sender.join().map_err(|_| anyhow!("the sender panicked"))??;
    let snapshot = steps::exact(top)?;
    let ledger = host::ledger()?;
    let conn = ledger.of_service(5302).next().context("not in the ledger")?;
    ensure!(conn.full_ns > 600 * MS, "the host saw it full for {} ns only", conn.full_ns);
    let value = compare::find(snapshot.connections()?, conn)?;
    compare::expect_of(value, &[("tx/stalls", 1), ("tx/last_error", 0)])?;
    near("the stall", number(value, "tx/stall_ns")?, conn.full_ns)?;
    traffic::close(stream)?;
    steps::all_gone_exact(top).map(drop)
}
