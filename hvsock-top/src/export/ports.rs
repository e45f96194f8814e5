//! Ports for metrics: a bounded number of them by number, all others together.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use crate::model::{Direction, Listener, Port, Snapshot, Traffic};

/// The label of all ports beyond the limit.
const OTHER: &str = "other";

/// Which ports have series of their own. The first that are seen keep them for ever; what happens at later ones is told in a sum, from
/// their first event on. So no counter ever goes back and no event changes its series.
#[derive(Debug)]
pub(super) struct PortTable {
    limit: usize,
    own: BTreeSet<u32>,
    /// What was last seen of each port: its counters stay when the kernel forgets it.
    last: BTreeMap<(bool, u32), Port>,
}

/// What happened at one port, or at all others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PortRow {
    /// The label.
    pub(super) port: Cow<'static, str>,
    /// The port's, or the sum.
    pub(super) sum: Port,
}

/// One listener, or all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ListenerRow {
    /// The label.
    pub(super) port: Cow<'static, str>,
    pub(super) backlog: Option<u64>,
    pub(super) max_backlog: Option<u64>,
    pub(super) peak_backlog: Option<u64>,
    pub(super) accepted: Option<u64>,
    pub(super) backlog_full: Option<u64>,
    pub(super) never_accepted: Option<u64>,
}

/// What happened at all ports, in few rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PortRows {
    pub(super) ports: Vec<PortRow>,
    pub(super) listeners: Vec<ListenerRow>,
}

impl PortTable {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, own: BTreeSet::new(), last: BTreeMap::new() }
    }

    /// Takes the ports of the next Snapshot.
    pub(super) fn fold(&mut self, snapshot: &Snapshot) -> PortRows {
        let listening = snapshot.listeners.iter().map(|l| l.port);
        for port in listening.chain(snapshot.ports.iter().map(|p| p.port)) {
            if self.own.len() < self.limit {
                self.own.insert(port);
            }
        }
        for port in self.last.values_mut() {
            port.live = 0;
        }
        for port in &snapshot.ports {
            self.last.insert((port.direction == Direction::ToHost, port.port), port.clone());
        }
        PortRows { ports: self.ports(), listeners: self.listeners(&snapshot.listeners) }
    }

    fn ports(&self) -> Vec<PortRow> {
        let mut rows = Vec::new();
        let mut others: [Option<Port>; 2] = [None, None];
        for ((to_host, number), port) in &self.last {
            if self.own.contains(number) {
                rows.push(PortRow { port: number.to_string().into(), sum: port.clone() });
            } else {
                match &mut others[usize::from(*to_host)] {
                    Some(sum) => add(sum, port),
                    none => *none = Some(port.clone()),
                }
            }
        }
        let others = others.into_iter().flatten().map(|sum| PortRow { port: OTHER.into(), sum });
        rows.extend(others);
        rows
    }

    fn listeners(&self, listeners: &[Listener]) -> Vec<ListenerRow> {
        let mut rows = Vec::new();
        let mut others: Option<ListenerRow> = None;
        for listener in listeners {
            let row = ListenerRow {
                port: listener.port.to_string().into(),
                backlog: listener.backlog.map(u64::from),
                max_backlog: listener.max_backlog.map(u64::from),
                peak_backlog: listener.peak_backlog.map(u64::from),
                accepted: listener.accepted,
                backlog_full: listener.drops.backlog_full,
                never_accepted: listener.drops.never_accepted,
            };
            if self.own.contains(&listener.port) {
                rows.push(row);
                continue;
            }
            let sum =
                others.get_or_insert_with(|| ListenerRow { port: OTHER.into(), ..ListenerRow::default() });
            plus(&mut sum.backlog, row.backlog);
            // The largest backlog and peak of several listeners say nothing about any of them.
            plus(&mut sum.accepted, row.accepted);
            plus(&mut sum.backlog_full, row.backlog_full);
            plus(&mut sum.never_accepted, row.never_accepted);
        }
        rows.extend(others);
        rows
    }
}

fn plus(to: &mut Option<u64>, from: Option<u64>) {
    if let Some(from) = from {
        *to = Some(to.unwrap_or(0) + from);
    }
}

/// Adds one port's figures to a sum.
fn add(sum: &mut Port, port: &Port) {
    // Says which fields there are, so that none is forgotten.
    let Port { port: _, direction: _, offers, connects, live, closed, accepted, never_accepted, traffic } =
        port;
    for (to, from) in [(&mut sum.offers, offers), (&mut sum.connects, connects)] {
        for (name, n) in from {
            *to.entry(name.clone()).or_insert(0) += n;
        }
    }
    sum.live += live;
    sum.closed += closed;
    plus(&mut sum.accepted, *accepted);
    plus(&mut sum.never_accepted, *never_accepted);
    let Traffic {
        tx_bytes,
        rx_bytes,
        tx_packets,
        rx_packets,
        callbacks,
        stalls,
        stall_ns,
        eagain,
        short_writes,
        failed_writes,
        ring_invalid,
        wait_ns,
    } = *traffic;
    let to = &mut sum.traffic;
    plus(&mut to.tx_bytes, tx_bytes);
    plus(&mut to.rx_bytes, rx_bytes);
    plus(&mut to.tx_packets, tx_packets);
    plus(&mut to.rx_packets, rx_packets);
    plus(&mut to.callbacks, callbacks);
    plus(&mut to.stalls, stalls);
    plus(&mut to.stall_ns, stall_ns);
    plus(&mut to.eagain, eagain);
    plus(&mut to.short_writes, short_writes);
    plus(&mut to.failed_writes, failed_writes);
    plus(&mut to.ring_invalid, ring_invalid);
    plus(&mut to.wait_ns, wait_ns);
}
