//! Data that does not flow.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
};

use super::{Rule, count, ns, time};
use crate::{
    findings::{Draft, View},
    model::{Connection, Direction, Finding, Severity, State},
};

/// The service's port of a connection, by which findings are told. `None` only for one on which nothing has happened since the tool began.
fn service(connection: &Connection) -> Option<u32> {
    match connection.direction? {
        Direction::FromHost => connection.local_port,
        Direction::ToHost => connection.remote_port,
    }
}

/// How to make rings larger: what works differs by who connects.
fn larger_rings(direction: Direction) -> &'static str {
    match direction {
        Direction::FromHost => {
            "make the host read faster, or set SO_SNDBUF on the listening socket before clients come (up to 256 KiB of ring); \
             SO_VM_SOCKETS_BUFFER_SIZE has no effect on hv_sock"
        }
        Direction::ToHost => {
            "make the host read faster, or set SO_SNDBUF before connect(2) (up to 256 KiB of ring); \
             SO_VM_SOCKETS_BUFFER_SIZE has no effect on hv_sock"
        }
    }
}

/// A connection whose senders wait.
struct Stalled<'a> {
    connection: &'a Connection,
    /// How long the present wait has lasted.
    now_ns: u64,
    /// Share of the window spent waiting.
    percent: f64,
    /// How long its waits within the window were on average.
    mean_ns: u64,
}

impl<'a> Stalled<'a> {
    /// `before`: the same connection at the window's begin, if it was there. `None`: not known.
    fn of(connection: &'a Connection, before: Option<&Connection>, window_ns: f64) -> Option<Self> {
        // All waits so far, the one that goes on included.
        let total = |c: &Connection| Some(c.tx.stall_ns? + c.tx.stalled_for_ns?);
        let waited = total(connection)?.saturating_sub(before.map_or(Some(0), total)?);
        let percent = if window_ns > 0.0 { 100.0 * waited as f64 / window_ns } else { 0.0 };
        let waits = connection.tx.stalls?.saturating_sub(before.map_or(Some(0), |c| c.tx.stalls)?);
        let mean_ns = waited / waits.max(1);
        Some(Self { connection, now_ns: connection.tx.stalled_for_ns?, percent, mean_ns })
    }

    fn matters(&self, view: &View<'_>) -> bool {
        let often = self.percent >= view.limits.stall_percent as f64;
        self.now_ns >= ns(view.limits.stall_ms) || (often && self.mean_ns >= ns(view.limits.stall_mean_ms))
    }
}

pub(super) fn send_stalled(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let before: HashMap<&str, &Connection> = view
        .then
        .into_iter()
        .flat_map(|then| &then.connections)
        .map(|connection| (connection.id.as_str(), connection))
        .collect();
    let window_ns = view.seconds() * 1e9;
    let mut ports: BTreeMap<(u32, bool), Vec<Stalled<'_>>> = BTreeMap::new();
    for connection in &view.now.connections {
        let earlier = before.get(connection.id.as_str()).copied();
        let stalled = Stalled::of(connection, earlier, window_ns).filter(|s| s.matters(view));
        let (Some(stalled), Some(port)) = (stalled, service(connection)) else { continue };
        let key = (port, connection.direction == Some(Direction::FromHost));
        ports.entry(key).or_default().push(stalled);
    }
    let mut found = Vec::new();
    for ((port, from_host), mut stalled) in ports {
        stalled.sort_by(|a, b| b.now_ns.cmp(&a.now_ns).then(b.percent.total_cmp(&a.percent)));
        let direction = if from_host { Direction::FromHost } else { Direction::ToHost };
        let Stalled { connection: worst, now_ns, percent, mean_ns } = stalled[0];
        let ring = &worst.rings.outgoing;
        let what = count(stalled.len() as u64, "connection", "connections");
        let summary = if now_ns >= ns(view.limits.stall_ms) {
            format!("senders of {what} at port {port} wait for room in the ring, one for {}", time(now_ns))
        } else {
            format!(
                "senders of {what} at port {port} spend up to {percent:.0} % of their time waiting for room in the ring"
            )
        };
        found.push(
            Draft::new(rule, Severity::Warning, summary, larger_rings(direction))
                .at_port(port)
                .about(stalled.iter().map(|s| s.connection.id.as_str()))
                .with("connections", Some(stalled.len() as u64))
                .with("longest_wait_ns", Some(now_ns))
                .with("waiting_percent", Some(percent))
                .with("mean_wait_ns", Some(mean_ns))
                .with("ring_size_bytes", ring.size_bytes)
                .with("ring_used_bytes", ring.used_bytes)
                .limit("stall_ms", view.limits.stall_ms)
                .limit("stall_percent", view.limits.stall_percent)
                .limit("stall_mean_ms", view.limits.stall_mean_ms)
                .done(),
        );
    }
    found
}

pub(super) fn reader_slow(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut ports: BTreeMap<u32, Vec<(&Connection, u64)>> = BTreeMap::new();
    for connection in view.now.connections.iter().filter(|c| c.state == Some(State::Established)) {
        // A reader that waits has read all there was for it; what shows in the ring has only just come.
        if connection.rx.waiting_for_ns.is_some_and(|ns| ns > 0) {
            continue;
        }
        let unread = view.activity.unread_ns(connection, view.now);
        if let Some(unread) = unread.filter(|unread| *unread >= ns(view.limits.unread_ms))
            && let Some(port) = service(connection)
        {
            ports.entry(port).or_default().push((connection, unread));
        }
    }
    let mut found = Vec::new();
    for (port, mut slow) in ports {
        let percent = |c: &Connection| {
            let ring = &c.rings.incoming;
            Some(100.0 * f64::from(ring.used_bytes?) / f64::from(ring.size_bytes?))
        };
        slow.sort_by_key(|(c, unread)| Reverse((c.rings.incoming.used_bytes, *unread)));
        let (worst, _) = slow[0];
        let longest = slow.iter().map(|(_, unread)| *unread).max();
        let full = percent(worst).is_some_and(|percent| percent >= view.limits.unread_percent as f64);
        let summary = format!(
            "nobody reads {} at port {port}: {} bytes have lain in the ring for {}",
            count(slow.len() as u64, "connection", "connections"),
            worst.rings.incoming.used_bytes.unwrap_or(0),
            time(longest.unwrap_or(0))
        );
        found.push(
            Draft::new(
                rule,
                if full { Severity::Warning } else { Severity::Info },
                summary,
                "look at what the process does instead of reading; when the ring is full the host cannot send any more",
            )
            .at_port(port)
            .about(slow.iter().map(|(c, _)| c.id.as_str()))
            .with("connections", Some(slow.len() as u64))
            .with("longest_unread_ns", longest)
            .with("ring_used_bytes", worst.rings.incoming.used_bytes)
            .with("ring_size_bytes", worst.rings.incoming.size_bytes)
            .with("ring_used_percent", percent(worst))
            .with("pid", worst.pid)
            .limit("unread_ms", view.limits.unread_ms)
            .limit("unread_percent", view.limits.unread_percent)
            .done(),
        );
    }
    found
}

pub(super) fn idle_connections(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut ports: BTreeMap<u32, Vec<(&Connection, u64)>> = BTreeMap::new();
    for connection in view.now.connections.iter().filter(|c| c.state == Some(State::Established)) {
        let idle = view.activity.idle_ns(connection, view.now);
        if let Some(idle) = idle.filter(|idle| *idle >= ns(view.limits.idle_ms))
            && let Some(port) = service(connection)
        {
            ports.entry(port).or_default().push((connection, idle));
        }
    }
    let mut found = Vec::new();
    for (port, mut idle) in ports {
        if (idle.len() as u64) < view.limits.idle_connections {
            continue;
        }
        idle.sort_by_key(|(_, idle)| Reverse(*idle));
        let memory: Option<u64> = idle.iter().map(|(c, _)| c.rings.memory_bytes).sum();
        let summary = format!(
            "{} at port {port}, the longest for {}; their rings hold {} KiB",
            count(idle.len() as u64, "connection is idle", "connections are idle"),
            time(idle[0].1),
            memory.map_or_else(|| "?".to_owned(), |bytes| (bytes / 1024).to_string())
        );
        found.push(
            Draft::new(
                rule,
                Severity::Info,
                summary,
                "close what is not needed: each connection holds a channel of 2,048 and its rings",
            )
            .at_port(port)
            .about(idle.iter().map(|(c, _)| c.id.as_str()))
            .with("connections", Some(idle.len() as u64))
            .with("longest_idle_ns", Some(idle[0].1))
            .with("ring_memory_bytes", memory)
            .limit("idle_ms", view.limits.idle_ms)
            .limit("idle_connections", view.limits.idle_connections)
            .done(),
        );
    }
    found
}

pub(super) fn host_nonsense(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let invalid = view.now.totals.traffic.ring_invalid;
    let Some(invalid) = invalid.filter(|n| *n > 0) else { return Vec::new() };
    let looks =
        |c: &Connection| c.rings.outgoing.invalid.unwrap_or(0) + c.rings.incoming.invalid.unwrap_or(0);
    let which = view.now.connections.iter().filter(|c| looks(c) > 0);
    let summary = format!("{} at a ring found indices beyond its end", count(invalid, "look", "looks"));
    vec![
        Draft::new(
            rule,
            Severity::Critical,
            summary,
            "the other side of the ring is broken or hostile: close these connections, and report it to the host's vendor",
        )
        .about(which.map(|c| c.id.as_str()))
        .with("looks", Some(invalid))
        .with("recent_looks", view.grown(|s| s.totals.traffic.ring_invalid))
        .done(),
    ]
}
