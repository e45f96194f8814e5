//! What happens at each port.

use std::borrow::Cow;

use super::{counter, gauge};
use crate::{
    export::{
        family::{Family, Label, Unit, label},
        ports::{PortRow, PortRows},
    },
    model::{Direction, Opens, Port, Snapshot},
};

/// The port label of what happens at no port.
const NONE: &str = "none";

pub(super) fn families(snapshot: &Snapshot, rows: &PortRows) -> Vec<Family> {
    let mut all = opens(&snapshot.opens, &rows.ports);
    all.extend(connections(&rows.ports));
    all.extend(traffic(&rows.ports));
    all.extend(waits(&rows.ports));
    all.extend(listeners(rows));
    all
}

fn labels(row: &PortRow) -> Vec<Label> {
    let direction = match row.sum.direction {
        Direction::FromHost => "from_host",
        Direction::ToHost => "to_host",
    };
    vec![label("direction", direction), label("port", row.port.clone())]
}

/// What was counted by this name. An outcome that can be seen and has not happened is zero.
fn count(known: bool, counts: &std::collections::BTreeMap<String, u64>, name: &str) -> Option<u64> {
    known.then(|| counts.get(name).copied().unwrap_or(0))
}

fn opens(opens: &Opens, rows: &[PortRow]) -> Vec<Family> {
    let mut offered = counter(
        "opens",
        None,
        "Channels that the host offered, by the branch that hv_sock's open took; ok: a connection was established.",
    );
    let mut failed =
        counter("connects_failed", None, "Connects of the guest that came to nothing, by reason.");
    let (from, to) = (&opens.from_host, &opens.to_host);
    let from_host = [
        ("ok", from.ok),
        ("no_listener", from.no_listener),
        ("bad_state", from.bad_state),
        ("backlog_full", from.backlog_full),
        ("nomem_sock", from.nomem_sock),
        ("transport", from.transport),
        ("ring_enomem", from.ring_enomem),
        ("host_refused", from.host_refused),
        ("rescinded", from.rescinded),
        ("ambiguous", from.ambiguous),
        ("other", from.other),
    ];
    // An offer for a connect that no longer waits finds no listener, or one in the wrong state.
    let to_host = [
        ("ok", to.ok),
        ("no_listener", to.late_offers),
        ("bad_state", to.late_offers),
        ("ring_enomem", to.ring_enomem),
        ("host_refused", to.host_refused),
    ];
    let connects = [
        ("timed_out", to.timed_out),
        ("refused", to.refused),
        ("interrupted", to.interrupted),
        ("unreachable", to.unreachable),
        ("not_permitted", to.not_permitted),
        ("abandoned", to.abandoned),
        ("other", to.other),
    ];
    for row in rows {
        let outcomes = if row.sum.direction == Direction::FromHost { &from_host[..] } else { &to_host[..] };
        for (name, known) in outcomes {
            let mut labels = labels(row);
            labels.push(label("result", *name));
            offered.whole(labels, count(known.is_some(), &row.sum.offers, name));
        }
    }
    let no_port = |direction| vec![label("direction", direction), label("port", NONE)];
    let mut labels = no_port("from_host");
    labels.push(label("result", "not_vsock"));
    offered.whole(labels, from.not_vsock);
    for row in rows.iter().filter(|row| row.sum.direction == Direction::ToHost) {
        for (name, known) in connects {
            let labels = vec![label("port", row.port.clone()), label("reason", name)];
            failed.whole(labels, count(known.is_some(), &row.sum.connects, name));
        }
    }
    vec![offered, failed]
}

fn connections(rows: &[PortRow]) -> Vec<Family> {
    let mut live = gauge("connections", None, "Connections that are alive.");
    let mut closed = counter("connections_closed", None, "Connections that are gone.");
    for row in rows {
        live.whole(labels(row), Some(row.sum.live));
        closed.whole(labels(row), Some(row.sum.closed));
    }
    vec![live, closed]
}

/// Adds a series for each port.
fn each(family: &mut Family, rows: &[PortRow], value: fn(&Port) -> Option<u64>) {
    for row in rows {
        family.whole(labels(row), value(&row.sum));
    }
}

fn traffic(rows: &[PortRow]) -> Vec<Family> {
    let mut sent = counter("transmit", Some(Unit::Bytes), "Payload that the guest sent.");
    let mut received = counter("receive", Some(Unit::Bytes), "Payload that the guest received.");
    let mut sent_packets =
        counter("transmit_packets", None, "Packets that the guest sent, FINs not among them.");
    let mut received_packets = counter("receive_packets", None, "Packets that the guest read to their end.");
    let mut callbacks = counter("callbacks", None, "Runs of the channel callback: the host has signalled.");
    let mut invalid = counter(
        "ring_invalid",
        None,
        "Looks at a ring that found indices out of range; they are checked and never believed.",
    );
    each(&mut sent, rows, |p| p.traffic.tx_bytes);
    each(&mut received, rows, |p| p.traffic.rx_bytes);
    each(&mut sent_packets, rows, |p| p.traffic.tx_packets);
    each(&mut received_packets, rows, |p| p.traffic.rx_packets);
    each(&mut callbacks, rows, |p| p.traffic.callbacks);
    each(&mut invalid, rows, |p| p.traffic.ring_invalid);
    vec![sent, received, sent_packets, received_packets, callbacks, invalid]
}

fn waits(rows: &[PortRow]) -> Vec<Family> {
    let mut stalls =
        counter("send_stalls", None, "Times a sender had to wait because the ring to the host was full.");
    let mut stalled = counter(
        "send_stall",
        Some(Unit::Seconds),
        "How long senders waited for room, those that wait now left out.",
    );
    let mut eagain = counter("send_eagain", None, "Sends that ended with EAGAIN because the ring was full.");
    let mut short = counter("send_short_writes", None, "Sends that took less than they were given.");
    let mut failed = counter("send_failed_writes", None, "Ring writes that failed.");
    let mut waited = counter(
        "receive_wait",
        Some(Unit::Seconds),
        "How long readers waited for data, those that wait now left out.",
    );
    each(&mut stalls, rows, |p| p.traffic.stalls);
    each(&mut eagain, rows, |p| p.traffic.eagain);
    each(&mut short, rows, |p| p.traffic.short_writes);
    each(&mut failed, rows, |p| p.traffic.failed_writes);
    for row in rows {
        stalled.nanoseconds(labels(row), row.sum.traffic.stall_ns);
        waited.nanoseconds(labels(row), row.sum.traffic.wait_ns);
    }
    vec![stalls, stalled, eagain, short, failed, waited]
}

fn listeners(rows: &PortRows) -> Vec<Family> {
    let mut backlog = gauge("listener_backlog", None, "Connections that wait to be accepted.");
    let mut limit = gauge("listener_backlog_limit", None, "How many may wait, as given to listen.");
    let mut peak = gauge("listener_backlog_peak", None, "The most that were seen waiting.");
    let mut accepted = counter("listener_accepted", None, "Connections that were accepted.");
    let mut drops = counter(
        "listener_drops",
        None,
        "Connections lost at the listener: dropped because the backlog was full, or freed without having been accepted.",
    );
    for row in &rows.listeners {
        let port = |port: &Cow<'static, str>| vec![label("port", port.clone())];
        backlog.whole(port(&row.port), row.backlog);
        limit.whole(port(&row.port), row.max_backlog);
        peak.whole(port(&row.port), row.peak_backlog);
        accepted.whole(port(&row.port), row.accepted);
        for (reason, value) in [("backlog_full", row.backlog_full), ("never_accepted", row.never_accepted)] {
            drops.whole(vec![label("port", row.port.clone()), label("reason", reason)], value);
        }
    }
    vec![backlog, limit, peak, accepted, drops]
}
