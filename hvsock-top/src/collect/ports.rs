//! What happened at each port.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{HashMap, MapData};
use hvsock_common::{CONNECT_RESULTS, ConnRecord, Direction, Hook, OPEN_RESULTS, PortKey, PortRecord};

use super::{connections::direction, totals, untold::UNTOLD};
use crate::{kernel::Loaded, model::Port};

/// Key of the port table, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Key(PortKey);
// SAFETY: plain numbers without padding.
unsafe impl aya::Pod for Key {}

/// Value of the port table, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Value(PortRecord);
// SAFETY: plain numbers without padding.
unsafe impl aya::Pod for Value {}

/// Reads the port table.
pub(super) fn read(loaded: &Loaded) -> Result<Vec<(PortKey, PortRecord)>> {
    let map = loaded.ebpf.map("PORTS").ok_or_else(|| anyhow!("the object has no map PORTS"))?;
    let map: HashMap<&MapData, Key, Value> = HashMap::try_from(map)?;
    let mut ports = Vec::new();
    for entry in &map {
        let (Key(key), Value(record)) = entry.context("reading the port table failed")?;
        ports.push((key, record));
    }
    ports.sort_by_key(|(key, _)| (key.direction, key.port));
    Ok(ports)
}

/// `now`, and what was counted before it.
pub(super) fn add(
    mut now: Vec<(PortKey, PortRecord)>,
    before: &[(PortKey, PortRecord)],
) -> Vec<(PortKey, PortRecord)> {
    for (key, old) in before {
        match now.iter_mut().find(|(k, _)| k == key) {
            None => now.push((*key, *old)),
            Some((_, record)) => {
                for (to, from) in record.opens.iter_mut().zip(&old.opens) {
                    *to += from;
                }
                for (to, from) in record.connects.iter_mut().zip(&old.connects) {
                    *to += from;
                }
                record.accepted += old.accepted;
                record.never_accepted += old.never_accepted;
                totals::add(&mut record.closed, &old.closed);
                record.peak_ack_backlog = record.peak_ack_backlog.max(old.peak_ack_backlog);
            }
        }
    }
    now.sort_by_key(|(key, _)| (key.direction, key.port));
    now
}

/// The service's port of a connection.
fn port_of(record: &ConnRecord) -> PortKey {
    let from_host = record.direction == Direction::FromHost as u32;
    PortKey {
        port: if from_host { record.local_port } else { record.remote_port },
        direction: record.direction,
    }
}

/// What happened at each port, with the connections that are live.
pub(super) fn describe(
    ports: &[(PortKey, PortRecord)],
    live: &[ConnRecord],
    sees: impl Fn(Hook) -> bool,
) -> Vec<Port> {
    let mut all: BTreeMap<(u32, u32), (PortRecord, u64)> =
        ports.iter().map(|(key, record)| ((key.direction, key.port), (*record, 0))).collect();
    // One whose direction is unknown could be at either of two ports; nothing has happened on it yet.
    for record in live.iter().filter(|record| record.direction != UNTOLD) {
        let key = port_of(record);
        // A connection older than the probes has no record until something happens at its port.
        let (sums, live) = all.entry((key.direction, key.port)).or_default();
        totals::add(&mut sums.closed, &totals::so_far(record));
        *live += 1;
    }
    all.into_iter()
        .map(|((direction, port), (record, live))| one(port, direction, &record, live, &sees))
        .collect()
}

fn one(port: u32, towards: u32, record: &PortRecord, live: u64, sees: &impl Fn(Hook) -> bool) -> Port {
    let offers = OPEN_RESULTS.iter().map(|(result, name)| (*name, record.opens[*result as usize]));
    let connects = CONNECT_RESULTS.iter().map(|(result, name)| (*name, record.connects[*result as usize]));
    let accepts = towards == Direction::FromHost as u32 && sees(Hook::Accept);
    Port {
        port,
        direction: direction(towards),
        offers: offers.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
        connects: connects.filter(|(_, n)| *n > 0).map(|(name, n)| (name.to_owned(), n)).collect(),
        live,
        closed: record.closed.connections,
        accepted: accepts.then_some(record.accepted),
        never_accepted: accepts.then_some(record.never_accepted),
        traffic: totals::traffic(&record.closed, sees),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_at_its_services_port_if_its_direction_is_known() {
        let record = |direction| ConnRecord {
            direction,
            local_port: 6000,
            remote_port: 5000,
            ..bytemuck::Zeroable::zeroed()
        };
        let live = [Direction::ToHost as u32, Direction::FromHost as u32, UNTOLD].map(record);
        let told = describe(&[], &live, |_| true);
        let mut told: Vec<_> = told.iter().map(|p| (p.port, p.live)).collect();
        told.sort_unstable();
        assert_eq!(told, [(5000, 1), (6000, 1)]);
    }

    #[test]
    fn ports_add_up_by_key() {
        let entry = |port, accepted, peak| {
            let record = PortRecord {
                accepted,
                peak_ack_backlog: peak,
                opens: [accepted; OPEN_RESULTS.len()],
                ..PortRecord::default()
            };
            (PortKey { port, direction: 0 }, record)
        };
        let sum = add(vec![entry(7, 2, 1)], &[entry(7, 3, 4), entry(5, 1, 1)]);
        assert_eq!(sum.iter().map(|(k, r)| (k.port, r.accepted)).collect::<Vec<_>>(), [(5, 1), (7, 5)]);
        assert_eq!((sum[1].1.peak_ack_backlog, sum[1].1.opens[0]), (4, 5));
    }
}
