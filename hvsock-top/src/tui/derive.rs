//! What follows from Snapshots: sums of outcomes, shares, and whether anything was missed.

use crate::model::{Connection, Direction, Histogram, OpensFromHost, OpensToHost, ProbeState, Snapshot};

/// A sum of which some parts may be unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    /// Of the parts that are known.
    pub known: u64,
    /// Whether any part is.
    pub any: bool,
    /// Whether all are.
    pub whole: bool,
}

impl Sum {
    /// Adds up.
    pub(super) fn of(parts: &[Option<u64>]) -> Self {
        Self {
            known: parts.iter().flatten().fold(0, |sum, n| sum.saturating_add(*n)),
            any: parts.iter().any(Option::is_some),
            whole: parts.iter().all(Option::is_some),
        }
    }

    /// The sum, if all parts are known.
    pub(super) fn exact(self) -> Option<u64> {
        self.whole.then_some(self.known)
    }

    /// The sum, if any part is known. A sum of which parts are unknown is a lower bound.
    pub(super) fn value(self) -> Option<u64> {
        self.any.then_some(self.known)
    }
}

/// Outcomes of the host's connects by name, the good one first.
pub(super) fn from_host(opens: &OpensFromHost) -> [(&'static str, Option<u64>); 12] {
    [
        ("ok", opens.ok),
        ("backlog full", opens.backlog_full),
        ("no listener", opens.no_listener),
        ("host refused", opens.host_refused),
        ("ring no memory", opens.ring_enomem),
        ("socket no memory", opens.nomem_sock),
        ("rescinded", opens.rescinded),
        ("bad state", opens.bad_state),
        ("not vsock", opens.not_vsock),
        ("transport", opens.transport),
        ("ambiguous", opens.ambiguous),
        ("other", opens.other),
    ]
}

/// Outcomes of the guest's connects by name, the good one first.
pub(super) fn to_host(opens: &OpensToHost) -> [(&'static str, Option<u64>); 8] {
    [
        ("ok", opens.ok),
        ("timed out", opens.timed_out),
        ("refused", opens.refused),
        ("unreachable", opens.unreachable),
        ("not permitted", opens.not_permitted),
        ("interrupted", opens.interrupted),
        ("abandoned", opens.abandoned),
        ("other", opens.other),
    ]
}

/// Opens that succeeded, in both directions.
pub(super) fn opened(snapshot: &Snapshot) -> Sum {
    Sum::of(&[snapshot.opens.from_host.ok, snapshot.opens.to_host.ok])
}

/// Opens that failed, in both directions.
pub(super) fn failed(snapshot: &Snapshot) -> Sum {
    let from = from_host(&snapshot.opens.from_host);
    let to = to_host(&snapshot.opens.to_host);
    let parts: Vec<_> = from[1..].iter().chain(&to[1..]).map(|(_, n)| *n).collect();
    Sum::of(&parts)
}

/// Connections that a listener lost: its backlog was full, or they were never accepted.
pub(super) fn drops(snapshot: &Snapshot) -> Sum {
    Sum::of(&[snapshot.opens.from_host.backlog_full, snapshot.totals.never_accepted])
}

/// Memory that rings take. While a connection is being opened its part is not known.
pub(super) fn ring_memory(snapshot: &Snapshot) -> Sum {
    if let Some(bytes) = snapshot.totals.ring_memory_bytes {
        return Sum::of(&[Some(bytes)]);
    }
    let parts: Vec<_> = snapshot.connections.iter().map(|c| c.rings.memory_bytes).collect();
    Sum { whole: false, ..Sum::of(&parts) }
}

/// How long senders have waited for room in all, those that wait now included.
pub(super) fn stall_ns(snapshot: &Snapshot) -> Option<u64> {
    let now = snapshot.connections.iter().map(|c| c.tx.stalled_for_ns);
    now.fold(snapshot.totals.traffic.stall_ns, |sum, ns| Some(sum?.saturating_add(ns.unwrap_or(0))))
}

/// Connections whose sender waits for room at this moment.
pub(super) fn stalled(snapshot: &Snapshot) -> Option<usize> {
    let known = |c: &Connection| c.tx.stalled_for_ns.is_some();
    if !snapshot.connections.is_empty() && !snapshot.connections.iter().any(known) {
        return None;
    }
    Some(snapshot.connections.iter().filter(|c| c.tx.stalled_for_ns.unwrap_or(0) > 0).count())
}

/// How full the ring to the host is, of what hv_sock can use: 0 to 1.
pub(super) fn out_share(connection: &Connection) -> Option<f64> {
    let ring = &connection.rings.outgoing;
    let usable = ring.size_bytes?.checked_sub(ring.reserved_bytes)?;
    share(ring.used_bytes?, usable)
}

/// How full the ring from the host is: 0 to 1.
pub(super) fn in_share(connection: &Connection) -> Option<f64> {
    let ring = &connection.rings.incoming;
    share(ring.used_bytes?, ring.size_bytes?)
}

fn share(used: u32, size: u32) -> Option<f64> {
    (size > 0).then(|| (f64::from(used) / f64::from(size)).min(1.0))
}

/// The port of the service that the connection is to: the guest's for one from the host, else the host's.
pub(super) fn service_port(connection: &Connection) -> Option<u32> {
    match connection.direction? {
        Direction::FromHost => connection.local_port,
        Direction::ToHost => connection.remote_port,
    }
}

/// The other end's port.
pub(super) fn peer_port(connection: &Connection) -> Option<u32> {
    match connection.direction? {
        Direction::FromHost => connection.remote_port,
        Direction::ToHost => connection.local_port,
    }
}

/// The parts of a connection's open, in the order in which they happen, with what to call them.
pub(super) fn open_phases(connection: &Connection) -> [(&'static str, Option<u64>); 5] {
    let latency = &connection.latency;
    [
        ("offer to probe", latency.offer_to_probe_ns),
        ("lookup", latency.lookup_ns),
        ("ring allocation", latency.ring_alloc_ns),
        ("host opens", latency.host_open_ns),
        ("the rest", latency.other_open_ns),
    ]
}

/// How long its open took: of a guest's connect, that; else from offer to established.
pub(super) fn open_ns(connection: &Connection) -> Option<u64> {
    if let Some(connect) = connection.latency.connect_ns {
        return Some(connect);
    }
    open_phases(connection).iter().try_fold(0_u64, |sum, (_, part)| Some(sum.saturating_add((*part)?)))
}

/// A histogram by name; `None`: not measured.
pub(super) fn histogram<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Histogram> {
    snapshot.latency.get(name)?.as_ref()
}

/// Whether anything was missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trust {
    /// Every sum adds up and nothing is known to have been missed.
    pub reconciled: bool,
    /// Events that hooks decided on.
    pub seen: u64,
    /// What was missed, by hook.
    pub missed: Vec<(String, u64)>,
    /// Probes that work and of which the kernel does not say what it did not deliver.
    pub silent: usize,
    /// Probes that do not work.
    pub off: usize,
    /// Probes that do not work and without which the tool is blind.
    pub blind: usize,
}

impl Trust {
    /// Of a Snapshot.
    pub(super) fn of(snapshot: &Snapshot) -> Self {
        let accounting = &snapshot.accounting;
        let sum = |parts: &[u64]| parts.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        let missed = accounting.hooks.iter().filter_map(|(name, hook)| {
            let parts = sum(&[hook.recorded, hook.filtered, hook.ring_full, hook.map_full, hook.faulted]);
            let adrift = hook.seen.abs_diff(parts);
            let gone = sum(&[hook.ring_full, hook.map_full, hook.unpaired, hook.missed.unwrap_or(0), adrift]);
            (gone > 0).then(|| (name.clone(), gone))
        });
        let silent = |event: &str| accounting.hooks.get(event).is_some_and(|hook| hook.missed.is_none());
        let active = snapshot.probes.iter().filter(|p| p.state == ProbeState::Active);
        let off = || snapshot.probes.iter().filter(|p| p.state != ProbeState::Active);
        Self {
            reconciled: accounting.reconciled,
            seen: accounting.hooks.values().fold(0, |sum: u64, hook| sum.saturating_add(hook.seen)),
            missed: missed.collect(),
            silent: active.filter(|p| silent(&p.event)).count(),
            off: off().count(),
            blind: off().filter(|p| p.required).count(),
        }
    }

    /// How many were missed.
    pub(super) fn total_missed(&self) -> u64 {
        self.missed.iter().fold(0, |sum, (_, n)| sum.saturating_add(*n))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_unknowns_is_unknown() {
        assert_eq!(Sum::of(&[None, None]).value(), None);
        assert_eq!(Sum::of(&[Some(2), None]), Sum { known: 2, any: true, whole: false });
        assert_eq!(Sum::of(&[Some(u64::MAX), Some(1)]).value(), Some(u64::MAX));
    }

    #[test]
    fn full_is_what_hv_sock_can_use() {
        let mut connection = Connection::blank(1, 5000);
        let ring = &mut connection.rings.outgoing;
        ring.used_bytes = Some(24_576 - 72);
        assert_eq!(out_share(&connection), Some(1.0));
        connection.rings.outgoing.size_bytes = None;
        assert_eq!(out_share(&connection), None);
        connection.rings.outgoing.size_bytes = Some(8);
        assert_eq!(out_share(&connection), None, "a ring smaller than what is reserved");
    }

    #[test]
    fn a_wait_under_way_counts_and_memory_not_known_makes_a_lower_bound() {
        let mut snapshot = Snapshot::blank(1);
        snapshot.connections = vec![Connection::blank(1, 5000), Connection::blank(2, 5000)];
        snapshot.totals.traffic.stall_ns = Some(5);
        snapshot.connections[0].tx.stalled_for_ns = Some(7);
        assert_eq!(stall_ns(&snapshot), Some(12));
        snapshot.totals.traffic.stall_ns = None;
        assert_eq!(stall_ns(&snapshot), None);
        snapshot.totals.ring_memory_bytes = None;
        snapshot.connections[0].rings.memory_bytes = Some(64);
        snapshot.connections[1].rings.memory_bytes = None;
        assert_eq!(ring_memory(&snapshot), Sum { known: 64, any: true, whole: false });
        snapshot.connections.clear();
        assert_eq!(ring_memory(&snapshot).value(), None);
    }

    #[test]
    fn nobody_stalls_only_if_that_is_known() {
        let mut snapshot = Snapshot::blank(1);
        assert_eq!(stalled(&snapshot), Some(0));
        snapshot.connections.push(Connection::blank(1, 5000));
        assert_eq!(stalled(&snapshot), Some(0));
        snapshot.connections[0].tx.stalled_for_ns = None;
        assert_eq!(stalled(&snapshot), None);
    }

    #[test]
    fn an_open_is_as_long_as_its_parts() {
        let mut connection = Connection::blank(1, 5000);
        assert_eq!(open_ns(&connection), None);
        let latency = &mut connection.latency;
        latency.offer_to_probe_ns = Some(1);
        latency.lookup_ns = Some(2);
        latency.ring_alloc_ns = Some(3);
        latency.host_open_ns = Some(4);
        assert_eq!(open_ns(&connection), None, "a part is unknown");
        connection.latency.other_open_ns = Some(5);
        assert_eq!(open_ns(&connection), Some(15));
        connection.latency.connect_ns = Some(20);
        assert_eq!(open_ns(&connection), Some(20));
    }

    #[test]
    fn what_does_not_add_up_was_missed() {
        let mut snapshot = Snapshot::blank(1);
        let hook = crate::model::Hook {
            seen: 10,
            recorded: 7,
            filtered: 1,
            ring_full: 0,
            map_full: 0,
            faulted: 0,
            unpaired: 0,
            in_flight: None,
            missed: None,
        };
        snapshot.accounting.hooks.insert("send".to_owned(), hook);
        let trust = Trust::of(&snapshot);
        assert_eq!((trust.seen, trust.total_missed()), (10, 2));
        assert_eq!(trust.missed, [("send".to_owned(), 2)]);
    }
}
