//! Where the time of an open goes.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::ledger::Conn;
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::compare::{self, near};
use crate::histograms;
use crate::runner::Scenario;
use crate::snapshot::{Snapshot, number};
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "open_phases",
        "the host delays the offer, the answer, the first byte; the guest delays the accept: each in its phase alone",
        run,
    )
};

const MS: u64 = 1_000_000;
/// hv_sock gives up after 2 s, unless told otherwise.
const PATIENCE: Duration = Duration::from_mins(1);
const PARTS: [&str; 5] = ["offer_to_probe_ns", "lookup_ns", "ring_alloc_ns", "host_open_ns", "other_open_ns"];

fn run() -> Result<()> {
    let top = Top::start()?;
    let delayed = offer_delayed(&top)?;
    let held = answer_held(&top)?;
    let queued = behind_another(&top)?;
    let accepted = accept_delayed(&top)?;
    // As long as none has closed.
    steps::exact(&top)?.check(histograms::of_connections)?;
    let awaited = answer_awaited(&top)?;
    drop((delayed, held, queued, accepted, awaited));
    steps::all_gone_exact(&top)?;
    top.stop()
}

/// The connection of the ledger at the service's port, and what the Snapshot says of it.
fn only(snapshot: &Snapshot, port: u32) -> Result<(Conn, Value)> {
    let ledger = host::ledger()?;
    let conn = ledger.of_service(port).next().context("not in the ledger")?;
    let value = compare::find(snapshot.connections()?, conn)?;
    Ok((conn.clone(), value.clone()))
}

fn part(value: &Value, name: &str) -> Result<u64> {
    number(value, &format!("latency/{name}"))
}

/// When it was established, by the Snapshot.
fn established(snapshot: &Snapshot, value: &Value) -> Result<u64> {
    Ok(snapshot.number("uptime_ns")? - number(value, "age_ns")?)
}

/// The parts are disjoint and leave nothing out: together they last from the host's offer until the connection is
/// there. That comes after the host's answer.
fn add_up(snapshot: &Snapshot, conn: &Conn, value: &Value) -> Result<()> {
    let (sum, total) = sum_and_total(snapshot, conn, value)?;
    near("all parts of the open", sum, total)
}

/// The parts together, and the time from the host's offer until the connection is there. Between the host's writing the offer and the
/// guest's reading it lies the interrupt's way, which is no part of the open: it makes the total longer, never shorter.
fn sum_and_total(snapshot: &Snapshot, conn: &Conn, value: &Value) -> Result<(u64, u64)> {
    let sum = PARTS.iter().map(|name| part(value, name)).sum::<Result<u64>>()?;
    let established = established(snapshot, value)?;
    ensure!(established >= conn.opened_ns, "established before the host's answer");
    let total = established - conn.offered_ns;
    ensure!(sum <= total, "the parts of the open, {sum} ns, are longer than the whole, {total} ns");
    Ok((sum, total))
}

/// For opens of a millisecond or two, which one slow interrupt can double: of several, the best must add up, and none may be too long. A part
/// that is left out is missing in all of them.
fn best_adds_up<'a>(snapshot: &Snapshot, opens: impl Iterator<Item = &'a Conn>) -> Result<()> {
    let seen = snapshot.connections()?;
    let pairs = opens.map(|conn| sum_and_total(snapshot, conn, compare::find(seen, conn)?));
    let pairs = pairs.collect::<Result<Vec<_>>>()?;
    let (sum, total) = *pairs.iter().min_by_key(|(sum, total)| total - sum).context("no connection")?;
    near("all parts of the open", sum, total)
}

/// The host lets the guest wait 400 ms for the offer: that is in the connect's time, and in no part of the open.
fn offer_delayed(top: &Top) -> Result<Vec<Stream>> {
    host::host("mode 5200 delay 400")?;
    let streams = traffic::connect_all(5200, 3)?;
    let snapshot = steps::exact(top)?;
    let ledger = host::ledger()?;
    snapshot.check(|s| best_adds_up(s, ledger.of_service(5200)))?;
    snapshot.check(|s| {
        for conn in ledger.of_service(5200) {
            let value = compare::find(s.connections()?, conn)?;
            let sum = PARTS.iter().map(|name| part(value, name)).sum::<Result<u64>>()?;
            near("the connect", part(value, "connect_ns")?, 400 * MS + sum)?;
            ensure!(
                part(value, "offer_to_probe_ns")? < 200 * MS,
                "the wait for the offer is in offer_to_probe: {value}"
            );
        }
        Ok(())
    })?;
    Ok(streams)
}

/// The host answers the open request after 400 ms.
fn answer_held(top: &Top) -> Result<Stream> {
    host::host("mode 5201 hold 400")?;
    let stream = traffic::connect(5201)?;
    let snapshot = steps::exact(top)?;
    snapshot.check(|s| {
        let (conn, value) = only(s, 5201)?;
        add_up(s, &conn, &value)?;
        near("the wait for the host's answer", part(&value, "host_open_ns")?, 400 * MS)?;
        near("the connect", part(&value, "connect_ns")?, conn.opened_ns - conn.offered_ns)
    })?;
    Ok(stream)
}

/// The host answers when it is told to.
fn answer_awaited(top: &Top) -> Result<Stream> {
    host::host("mode 5202 noopen")?;
    let connecting = thread::spawn(|| Stream::connect_within(5202, PATIENCE));
    top.wait("a connection that is being opened", |s| {
        ensure!(s.connections()?.iter().any(|c| c["state"] == "opening"), "none");
        compare::expect(s, "accounting/open/in_flight", 1)
    })?;
    // Two more offers, which wait for the worker; the host must not take them back meanwhile.
    host::host("refuse_delay 20000")?;
    host::host("mode 5205 sink")?;
    let mut behind = Vec::new();
    for count in 1..=2 {
        behind.push(thread::spawn(|| Stream::connect_within(5205, PATIENCE)));
        steps::wait_ledger("it is offered", |l| {
            l.of_service(5205).filter(|c| c.offered_ns > 0).count() == count
        })?;
        thread::sleep(Duration::from_millis(200));
    }
    let offered = host::ledger()?.of_service(5205).next().context("not in the ledger")?.offered_ns;
    top.wait("offers that wait", |s| {
        compare::expect(s, "totals/offers_waiting", 2)?;
        near("the older one's wait", s.number("totals/oldest_offer_ns")?, s.number("uptime_ns")? - offered)
    })?;
    thread::sleep(Duration::from_millis(400));
    host::host("release 5202")?;
    let stream = connecting.join().map_err(|_| anyhow!("the thread panicked"))??;
    for thread in behind {
        traffic::close(thread.join().map_err(|_| anyhow!("the thread panicked"))??)?;
    }
    steps::wait_ledger("they are gone", |l| l.of_service(5205).all(|c| !c.live()))?;
    let snapshot = steps::exact(top)?;
    snapshot.check(|s| {
        compare::expect_all(s, &[("totals/offers_waiting", 0), ("accounting/open/in_flight", 0)])?;
        ensure!(s.at("totals/oldest_offer_ns").is_some_and(Value::is_null), "none waits");
        let (conn, value) = only(s, 5202)?;
        add_up(s, &conn, &value)?;
        let before: u64 = PARTS[..3].iter().map(|name| part(&value, name)).sum::<Result<u64>>()?;
        near(
            "the wait for the host's answer",
            part(&value, "host_open_ns")?,
            conn.opened_ns - conn.offered_ns - before,
        )
    })?;
    Ok(stream)
}

/// One worker opens all: the second waits until the host has answered the first.
fn behind_another(top: &Top) -> Result<Vec<Stream>> {
    host::host("mode 5203 hold 400")?;
    let threads = [(); 2].map(|()| thread::spawn(|| traffic::connect(5203)));
    let mut streams = Vec::new();
    for thread in threads {
        streams.push(thread.join().map_err(|_| anyhow!("the thread panicked"))??);
    }
    let snapshot = steps::exact(top)?;
    let ledger = host::ledger()?;
    let [first, second] = ledger.of_service(5203).collect::<Vec<_>>()[..] else {
        anyhow::bail!("not two connections")
    };
    snapshot.check(|s| {
        let value = compare::find(s.connections()?, second)?;
        add_up(s, second, value)?;
        let wait = first.opened_ns.saturating_sub(second.offered_ns);
        ensure!(wait > 200 * MS, "the two did not come together: {wait} ns");
        near("the wait behind another", part(value, "offer_to_probe_ns")?, wait)?;
        near("the wait for the host's answer", part(value, "host_open_ns")?, 400 * MS)
    })?;
    Ok(streams)
}

/// The guest accepts after 400 ms, and the first byte comes 400 ms later, once from the host and once to it.
fn accept_delayed(top: &Top) -> Result<Vec<Stream>> {
    let listener = Listener::bind(6200, 8).context("cannot listen")?;
    host::host("connect 6200 echo 0 2")?;
    let ledger =
        steps::wait_ledger("two are open", |l| l.of_service(6200).filter(|c| c.opened_ns > 0).count() == 2)?;
    thread::sleep(Duration::from_millis(400));
    let mut streams = Vec::new();
    let mut accepted = Vec::new();
    for _ in 0..2 {
        streams.push(listener.accept(Duration::ZERO)?.context("nothing to accept")?);
        accepted.push(uptime()?);
    }
    thread::sleep(Duration::from_millis(400));
    host::host("write 50 6200")?;
    streams[0].receive_exact(&mut [0; 50])?;
    streams[1].receive_exact(&mut [0; 50])?;
    let received = uptime()?;
    let snapshot = steps::exact(top)?;
    snapshot.check(|s| {
        for (conn, accepted) in ledger.of_service(6200).zip(&accepted) {
            let value = compare::find(s.connections()?, conn)?;
            let established = established(s, value)?;
            near("the wait to be accepted", part(value, "accept_wait_ns")?, *accepted - established)?;
            near("the first byte received", part(value, "first_byte_ns")?, received - established)?;
            ensure!(value["latency"]["connect_ns"].is_null(), "no connect of the guest's: {value}");
            ensure!(value["comm"] == "scenarios", "not accepted by us: {value}");
        }
        best_adds_up(s, ledger.of_service(6200))?;
        compare::expect_of(s.listener(6200)?, &[("accepted", 2), ("max_backlog", 8), ("peak_backlog", 2)])?;
        compare::expect_all(s, &[("latency/first_byte_rx/count", 2), ("latency/first_byte_tx/count", 0)])
    })?;

    host::host("mode 5204 sink")?;
    let stream = traffic::connect(5204)?;
    let connected = uptime()?;
    thread::sleep(Duration::from_millis(400));
    stream.send(b"first")?;
    let sent = uptime()?;
    let snapshot = steps::exact(top)?;
    snapshot.check(|s| {
        let (_, value) = only(s, 5204)?;
        near("the first byte sent", part(&value, "first_byte_ns")?, sent - connected)?;
        compare::expect(s, "latency/first_byte_tx/count", 1)
    })?;
    streams.push(stream);
    Ok(streams)
}
