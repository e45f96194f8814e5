//! What `diff` compares: where it is in a Snapshot, and which hooks must have missed nothing for it to be right.

use crate::model::{OpensFromHost, OpensToHost, Snapshot};

/// What a number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Events a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
    /// A share of time, or of a whole.
    Share,
    /// How many.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
}

/// A number that only ever grows: compared by its rate.
pub(super) struct Counter {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    /// It counts failures: the first is worth a mark, and more is worse.
    pub(super) bad: bool,
    pub(super) hooks: &'static [&'static str],
    pub(super) get: fn(&Snapshot) -> Option<u64>,
}

/// A number that goes up and down: compared as it was at each Snapshot.
pub(super) struct Level {
    pub(super) name: &'static str,
    pub(super) unit: Unit,
    pub(super) hooks: &'static [&'static str],
    pub(super) get: fn(&Snapshot) -> Option<f64>,
}

const OPEN: &[&str] = &["open", "lookup", "create", "transport", "ring_alloc", "host_open", "established"];
const CONNECT: &[&str] = &["connect", "connect_end", "connect_timeout", "established", "release"];
const CLOSE: &[&str] = &["release", "rescind", "close_timeout", "freed"];
const STALL: &[&str] = &["send_block", "send_ready", "send_end"];
const WAIT: &[&str] = &["recv_block", "dequeue", "recv_end"];
const LIFE: &[&str] = &["open", "established", "freed"];

const fn counter(
    name: &'static str,
    unit: Unit,
    hooks: &'static [&'static str],
    get: fn(&Snapshot) -> Option<u64>,
) -> Counter {
    Counter { name, unit, bad: false, hooks, get }
}

const fn bad(
    name: &'static str,
    hooks: &'static [&'static str],
    get: fn(&Snapshot) -> Option<u64>,
) -> Counter {
    Counter { name, unit: Unit::PerSecond, bad: true, hooks, get }
}

/// Rates.
pub(super) const COUNTERS: &[Counter] = &[
    counter("opens.from_host.ok", Unit::PerSecond, OPEN, |s| s.opens.from_host.ok),
    bad("opens.from_host.failed", OPEN, |s| failed_from_host(&s.opens.from_host)),
    bad("opens.from_host.backlog_full", OPEN, |s| s.opens.from_host.backlog_full),
    counter("opens.to_host.ok", Unit::PerSecond, CONNECT, |s| s.opens.to_host.ok),
    bad("opens.to_host.failed", CONNECT, |s| failed_to_host(&s.opens.to_host)),
    bad("opens.to_host.timed_out", CONNECT, |s| s.opens.to_host.timed_out),
    bad("opens.to_host.refused", CONNECT, |s| s.opens.to_host.refused),
    bad("never_accepted", &["accept", "accept_queue", "freed"], |s| s.totals.never_accepted),
    counter("closes.graceful", Unit::PerSecond, CLOSE, |s| s.closes.graceful),
    counter("closes.by_host", Unit::PerSecond, CLOSE, |s| s.closes.by_host),
    bad("closes.timed_out", CLOSE, |s| s.closes.timed_out),
    counter("tx_bytes", Unit::BytesPerSecond, &["enqueue"], |s| s.totals.traffic.tx_bytes),
    counter("rx_bytes", Unit::BytesPerSecond, &["dequeue"], |s| s.totals.traffic.rx_bytes),
    counter("tx_packets", Unit::PerSecond, &["ring_write"], |s| s.totals.traffic.tx_packets),
    counter("rx_packets", Unit::PerSecond, &["dequeue"], |s| s.totals.traffic.rx_packets),
    counter("callbacks", Unit::PerSecond, &["callback"], |s| s.totals.traffic.callbacks),
    bad("stalls", STALL, |s| s.totals.traffic.stalls),
    // Several senders may wait at once, so this may be more than one.
    Counter { unit: Unit::Share, ..bad("stalled", STALL, |s| s.totals.traffic.stall_ns) },
    counter("eagain", Unit::PerSecond, &["send_block", "send_end"], |s| s.totals.traffic.eagain),
    counter("short_writes", Unit::PerSecond, &["enqueue"], |s| s.totals.traffic.short_writes),
    bad("failed_writes", &["ring_write"], |s| s.totals.traffic.failed_writes),
    bad("ring_invalid", &["ring_write", "callback"], |s| s.totals.traffic.ring_invalid),
    counter("waited", Unit::Share, WAIT, |s| s.totals.traffic.wait_ns),
    bad("host_refusals", &["host_message"], |s| s.totals.host_refusals),
    bad("teardown_failures", &["teardown"], |s| s.totals.teardown_failures),
    counter("tool.cpu", Unit::Share, &[], |s| s.tool.cpu_ns),
];

/// Levels.
pub(super) const LEVELS: &[Level] = &[
    Level { name: "connections", unit: Unit::Count, hooks: LIFE, get: |s| count(s.totals.live_connections) },
    Level { name: "relids_used", unit: Unit::Count, hooks: &[], get: |s| count(s.totals.relids_used) },
    Level {
        name: "ring_memory_bytes",
        unit: Unit::Bytes,
        hooks: LIFE,
        get: |s| count(s.totals.ring_memory_bytes),
    },
    Level {
        name: "offers_waiting",
        unit: Unit::Count,
        hooks: &["offer", "open"],
        get: |s| count(s.totals.offers_waiting),
    },
    Level { name: "fullest_out_ring", unit: Unit::Share, hooks: &[], get: fullest_out },
    Level { name: "fullest_in_ring", unit: Unit::Share, hooks: &[], get: fullest_in },
    Level { name: "fullest_backlog", unit: Unit::Share, hooks: &[], get: fullest_backlog },
];

/// The hooks that a histogram is made of; `None`: one that we do not know.
pub(super) fn of_latency(name: &str) -> Option<&'static [&'static str]> {
    Some(match name {
        "connect" => &["connect", "established"],
        "offer_to_probe" => &["offer", "open"],
        "lookup" => &["lookup", "open"],
        "ring_alloc" => &["ring_alloc", "open"],
        "host_open" => &["host_open", "ring_alloc", "open"],
        "other_open" => &["host_open", "lookup", "open"],
        "accept_wait" => &["accept_queue", "accept"],
        "first_byte_tx" | "first_byte_rx" => &["enqueue", "dequeue"],
        "close" => &["release", "rescind", "close_timeout"],
        "callback_run" => &["callback"],
        "callback_delay" => &["interrupt", "callback"],
        "send_stall" => STALL,
        "recv_wait" => WAIT,
        _ => return None,
    })
}

fn count(n: Option<u64>) -> Option<f64> {
    n.map(|n| n as f64)
}

/// A sum of which no part may be unknown.
fn sum(parts: &[Option<u64>]) -> Option<u64> {
    parts.iter().try_fold(0_u64, |sum, part| Some(sum.saturating_add((*part)?)))
}

fn failed_from_host(o: &OpensFromHost) -> Option<u64> {
    let parts = [o.not_vsock, o.no_listener, o.bad_state, o.backlog_full, o.nomem_sock, o.transport];
    let others = [o.ring_enomem, o.host_refused, o.rescinded, o.ambiguous, o.other];
    sum(&[sum(&parts), sum(&others)])
}

fn failed_to_host(o: &OpensToHost) -> Option<u64> {
    // Late offers and what the host refused are behind one of these already.
    sum(&[o.timed_out, o.refused, o.interrupted, o.unreachable, o.not_permitted, o.abandoned, o.other])
}

/// The largest of some shares; without any it is zero, and one unknown makes it unknown.
fn fullest(shares: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let mut most = 0.0_f64;
    for share in shares {
        most = most.max(share?);
    }
    Some(most)
}

fn share(used: Option<u32>, size: Option<u32>) -> Option<f64> {
    Some(f64::from(used?) / f64::from(size.filter(|n| *n > 0)?))
}

fn fullest_out(s: &Snapshot) -> Option<f64> {
    fullest(s.connections.iter().map(|c| {
        let ring = &c.rings.outgoing;
        share(ring.used_bytes, ring.size_bytes.map(|n| n.saturating_sub(ring.reserved_bytes)))
    }))
}

fn fullest_in(s: &Snapshot) -> Option<f64> {
    fullest(s.connections.iter().map(|c| share(c.rings.incoming.used_bytes, c.rings.incoming.size_bytes)))
}

fn fullest_backlog(s: &Snapshot) -> Option<f64> {
    // Where nobody listens there is no backlog. A limit of 0 lets one wait.
    let listening = s.listeners.iter().filter(|l| l.backlog.is_some());
    fullest(listening.map(|l| share(l.backlog, l.max_backlog.map(|n| n.max(1)))))
}
