//! What hvsock-top itself loses: every such event is counted, at its hook, and said.

use std::fs;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::vsock::Stream;
use hvsock_guest::{host, traffic};
use rustix::process::Signal;

use crate::compare;
use crate::events::{Events, count};
use crate::faults::Fault;
use crate::recorder::{Recorder, replay};
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "losses",
        "kernel memory that cannot be read, programs that run into themselves, returns without their calls, a reader that sleeps: counted exactly",
        run,
    )
};

fn run() -> Result<()> {
    host::host("mode 5630 echo")?;
    unreadable()?;
    nested()?;
    nested_kprobes()?;
    returns()?;
    sleeping_reader()
}

/// An offer and a rescind that cannot be read. Without the latter nobody knows why the socket came to its end.
fn unreadable() -> Result<()> {
    let top = Top::start()?;
    let fault = Fault::unreadable(1, "vmbus_onoffer")?;
    let first = traffic::connect(5630)?;
    fault.end()?;
    let second = traffic::connect(5630)?;
    top.wait("one offer of two", |s| {
        let unknown = s.connections()?.iter().filter(|c| c["latency"]["offer_to_probe_ns"].is_null()).count();
        ensure!(unknown == 1, "when the offer came is unknown for one connection: {:?}", s.connections()?);
        compare::expect_all(s, &[("latency/offer_to_probe/count", 1), ("opens/to_host/ok", 2)])?;
        compare::losses(s, &[("offer", "faulted", 1)])
    })?;
    top.finds("lossy")?;
    drop(second);
    steps::wait_ledger("the second is gone", |l| l.live().count() == 1)?;
    unread_rescind(first)?;
    top.wait("an end that nobody knows the reason of", |s| {
        let wanted =
            [("closes/other", 1), ("closes/graceful", 1), ("closes/by_host", 0), ("closes/timed_out", 0)];
        compare::expect_all(s, &wanted)?;
        compare::expect(s, "totals/live_connections", 0)?;
        compare::losses(s, &[("offer", "faulted", 1), ("rescind", "faulted", 1)])
    })?;
    top.stop()?;
    // The same for whoever reads events.
    let events = Events::start()?;
    unread_rescind(traffic::connect(5630)?)?;
    events.wait("an end for another reason", |seen| {
        let (all, other) = (count(seen, "closed", None, 5630), count(seen, "closed", Some("other"), 5630));
        ensure!((all, other) == (1, 1), "closes: {seen:?}");
        Ok(())
    })?;
    events.stop()
}

/// The host takes the channel away, and hvsock-top cannot read which.
fn unread_rescind(stream: Stream) -> Result<()> {
    let fault = Fault::unreadable(1, "hvs_close_connection")?;
    host::host("rescind 5630")?;
    fault.end()?;
    drop(stream);
    steps::all_gone().map(drop)
}

/// A function that does nothing but say that all is well.
const HOOKED: &str = "hvs_notify_recv_pre_block";

/// While a program runs, its own function is called on this CPU: the kernel does not run it a second time.
fn nested() -> Result<()> {
    let top = Top::start()?;
    let stream = traffic::connect(5630)?;
    let fault = Fault::nest("bpf_ktime_get_ns", HOOKED, HOOKED)?;
    for _ in 0..2 {
        let (reader, _) = reading(&stream)?;
        host::host("write 100 5630")?;
        reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    }
    fault.end()?;
    top.wait("one call of three was missed", |s| {
        compare::expect_all(s, &[("accounting/recv_block/seen", 2), ("accounting/recv_block/recorded", 2)])?;
        ensure!(s.connection()?["rx"]["waits"] == 2, "two waits: {}", s.connection()?);
        compare::losses(s, &[("recv_block", "missed", 1)])
    })?;
    top.finds("lossy")?;
    traffic::close(stream)?;
    steps::all_gone()?;
    top.stop()
}

/// A kprobe's program does not run while any other does, or a table is read; and the kprobe itself is not handled within another one's handler.
/// Where the kernel counts it, both are told.
fn nested_kprobes() -> Result<()> {
    let top = Top::start_with(&["--kprobes"])?;
    let stream = traffic::connect(5630)?;
    let counts = top.wait("the connection", |s| s.connection().map(drop))?;
    if !compare::counts_missed(&counts, "recv_block")? {
        traffic::close(stream)?;
        return top.stop();
    }
    // hvsock-top reads its table of ports for each Snapshot.
    Fault::nest("htab_map_lookup_elem", HOOKED, "")?.end()?;
    top.wait("a call that came while a table was read", |s| {
        compare::losses(s, &[("recv_block", "missed", 1)])
    })?;
    let fault = Fault::within("hvs_stream_has_data", HOOKED, "")?;
    let (reader, _) = reading(&stream)?;
    fault.end()?;
    host::host("write 100 5630")?;
    reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    top.wait("a call within a kprobe's handler, and one that was seen", |s| {
        compare::expect_all(s, &[("accounting/recv_block/seen", 1), ("accounting/recv_block/recorded", 1)])?;
        compare::losses(s, &[("recv_block", "missed", 2)])
    })?;
    top.finds("lossy")?;
    traffic::close(stream)?;
    steps::all_gone()?;
    top.stop()
}

/// With kprobes the arguments of a call are kept by the number of its thread until it returns, in a table of 4,096. Of two threads so far apart
/// that are both inside a call, the first to come loses its place.
fn returns() -> Result<()> {
    let top = Top::start_with(&["--kprobes"])?;
    let streams = traffic::connect_all(5630, 2)?;
    let (first, number) = reading(&streams[0])?;
    // The kernel gives the next thread the number after this one.
    fs::write("/proc/sys/kernel/ns_last_pid", (number + 4095).to_string())?;
    let (second, other) = reading(&streams[1])?;
    ensure!(other == number + 4096, "the threads' numbers are {number} and {other}");
    host::host("write 100 5630")?;
    for thread in [first, second] {
        thread.join().map_err(|_| anyhow!("a reader panicked"))??;
    }
    top.wait("a return without its call", |s| {
        compare::expect(s, "totals/rx_bytes", 200)?;
        compare::losses(s, &[("recv_end", "unpaired", 1), ("recv_end", "faulted", 1)])
    })?;
    top.finds("lossy")?;
    streams.into_iter().try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.stop()
}

/// A thread that waits for 100 bytes, and its number.
fn reading(stream: &Stream) -> Result<(JoinHandle<std::io::Result<()>>, i32)> {
    let stream = stream.another()?;
    let (sender, receiver) = channel();
    let thread = thread::spawn(move || {
        sender.send(rustix::thread::gettid().as_raw_nonzero().get()).ok();
        stream.receive_exact(&mut [0; 100])
    });
    let number = receiver.recv().context("the thread has no number")?;
    thread::sleep(Duration::from_millis(100));
    Ok((thread, number))
}

/// Whoever reads the events does not, for so many that they do not all find room. Those are lost; sums are not.
fn sleeping_reader() -> Result<()> {
    const FILE: &str = "/tmp/losses.rec";
    const CONNECTIONS: u64 = 1500;
    host::host("reset")?;
    let recorder = Recorder::start(FILE, &["--force"])?;
    recorder.signal(Signal::STOP)?;
    for _ in 0..CONNECTIONS {
        traffic::close(traffic::connect(5630)?)?;
    }
    let ledger = steps::all_gone()?;
    recorder.signal(Signal::CONT)?;
    thread::sleep(Duration::from_millis(1500));
    let ended = recorder.end(Signal::INT)?;
    let replayed = replay(FILE)?.whole()?;
    let lost = |kind| CONNECTIONS - count(&replayed.events, kind, None, 5630) as u64;
    let (opened, closed) = (lost("opened"), lost("closed"));
    ensure!(opened > 0 && closed > 0, "{opened} and {closed} were lost: the reader was not slow enough");
    replayed.last()?.check(|s| {
        compare::totals(s, &ledger)?;
        compare::losses(s, &[("open", "ring_full", opened), ("freed", "ring_full", closed)])
    })?;
    let said = format!("({} more events were lost", opened + closed);
    ensure!(ended.stderr.contains(&said), "expected \"{said}\", got {ended:?}");
    Ok(())
}
