//! Listeners: what the hooks saw happen at a port, and what the inventory found listening there.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use aya::maps::{HashMap, MapData};
use hvsock_common::{Direction, Hook, ListenerRecord, OpenResult, PortKey, PortRecord};

use super::{guid, name, untold::UNTOLD};
use crate::{
    kernel::Loaded,
    model::{Listener, ListenerDrops},
};

/// Value of the listener table, as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
struct Listening(ListenerRecord);
// SAFETY: plain numbers without padding.
unsafe impl aya::Pod for Listening {}

/// Reads the sockets that listen now, each looked at anew; those that listen no more are forgotten.
pub(super) fn read(loaded: &mut Loaded) -> Result<Vec<(u64, ListenerRecord)>> {
    if !loaded.has_inventory() {
        return Ok(Vec::new());
    }
    for (sk, _) in table(loaded)? {
        loaded.refresh_listener(sk).map_err(|e| anyhow!("looking at a listener failed: {e}"))?;
    }
    let (gone, there): (Vec<_>, Vec<_>) = table(loaded)?.into_iter().partition(|(_, l)| l.gone != 0);
    if !gone.is_empty() {
        let map =
            loaded.ebpf.map_mut("LISTENERS").ok_or_else(|| anyhow!("the object has no map LISTENERS"))?;
        let mut map: HashMap<&mut MapData, u64, Listening> = HashMap::try_from(map)?;
        for (sk, _) in gone {
            map.remove(&sk).context("writing the listener table failed")?;
        }
    }
    Ok(there)
}

fn table(loaded: &Loaded) -> Result<Vec<(u64, ListenerRecord)>> {
    let map = loaded.ebpf.map("LISTENERS").ok_or_else(|| anyhow!("the object has no map LISTENERS"))?;
    let map: HashMap<&MapData, u64, Listening> = HashMap::try_from(map)?;
    map.iter()
        .map(|entry| entry.map(|(sk, Listening(record))| (sk, record)))
        .collect::<Result<_, _>>()
        .context("reading the listener table failed")
}

/// What is known of a port.
#[derive(Default)]
struct Known<'a> {
    /// What happened there.
    past: Option<&'a PortRecord>,
    /// Who listens there.
    now: Option<(u64, &'a ListenerRecord)>,
}

impl<'a> Known<'a> {
    /// Two sockets can listen at one port, bound to different addresses; the one that the host's last connection reached is told, and if
    /// there was none, the one with the longer backlog.
    fn listens(&mut self, sk: u64, record: &'a ListenerRecord) {
        let reached = |sk| self.past.is_some_and(|past| past.sk == sk);
        let better = self
            .now
            .is_none_or(|(other, old)| !reached(other) && (reached(sk) || record.backlog > old.backlog));
        if better {
            self.now = Some((sk, record));
        }
    }

    /// Whether somebody listens or has listened: a port that the host tried in vain is no listener.
    fn is_listener(&self) -> bool {
        let past = self.past.is_some_and(|p| p.sk != 0 || p.accepted + p.never_accepted > 0);
        past || self.now.is_some()
    }

    fn describe(&self, port: u32, sees: &impl Fn(Hook) -> bool) -> Listener {
        let now = self.now.map(|(_, record)| record);
        // Nothing has happened at a port without a record since the probes were attached.
        let count = |of: fn(&PortRecord) -> u64| self.past.map_or(0, of);
        // Only an open that was seen tells of the listener itself.
        let reached = self.past.filter(|p| p.sk != 0);
        let peaks = [reached.map(|p| p.peak_ack_backlog), now.and_then(|n| told(n.peak_backlog))];
        Listener {
            port,
            service_guid: guid::of_port(port),
            pid: now.map(|n| n.pid).filter(|pid| *pid != 0),
            comm: now.and_then(|n| name::of(&n.comm)),
            fd: now.and_then(|n| u32::try_from(n.fd).ok()),
            backlog: now.and_then(|n| told(n.backlog)),
            max_backlog: now.and_then(|n| told(n.max_backlog)).or(reached.map(|p| p.max_ack_backlog)),
            peak_backlog: peaks.into_iter().flatten().max(),
            accepted: sees(Hook::Accept).then(|| count(|p| p.accepted)),
            drops: ListenerDrops {
                backlog_full: (sees(Hook::Lookup) && sees(Hook::Create))
                    .then(|| count(|p| p.opens[OpenResult::BacklogFull as usize])),
                never_accepted: sees(Hook::Accept).then(|| count(|p| p.never_accepted)),
            },
        }
    }
}

/// A backlog, where it is known.
fn told(backlog: u32) -> Option<u32> {
    (backlog != UNTOLD).then_some(backlog)
}

/// One entry for each port at which somebody listens, or was reached by the host.
pub(super) fn merge(
    ports: &[(PortKey, PortRecord)],
    listening: &[(u64, ListenerRecord)],
    sees: impl Fn(Hook) -> bool,
) -> Vec<Listener> {
    let mut all: BTreeMap<u32, Known<'_>> = BTreeMap::new();
    for (key, record) in ports {
        if key.direction == Direction::FromHost as u32 {
            all.entry(key.port).or_default().past = Some(record);
        }
    }
    for (sk, record) in listening {
        all.entry(record.port).or_default().listens(*sk, record);
    }
    all.into_iter()
        .filter(|(_, known)| known.is_listener())
        .map(|(port, known)| known.describe(port, &sees))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(sk: u64) -> (PortKey, PortRecord) {
        let key = PortKey { port: 6000, direction: Direction::FromHost as u32 };
        let record = PortRecord {
            sk,
            accepted: 7,
            max_ack_backlog: 5,
            peak_ack_backlog: 3,
            ..bytemuck::Zeroable::zeroed()
        };
        (key, record)
    }

    fn listener(port: u32, backlog: u32) -> ListenerRecord {
        ListenerRecord {
            port,
            backlog,
            max_backlog: 9,
            peak_backlog: backlog,
            pid: 12,
            fd: 3,
            comm: *b"server\0\0\0\0\0\0\0\0\0\0",
            ..ListenerRecord::default()
        }
    }

    #[test]
    fn a_listener_without_traffic_is_told() {
        let [one] = &merge(&[], &[(1, listener(6000, 0))], |_| true)[..] else { panic!("one") };
        assert_eq!((one.port, one.backlog, one.max_backlog, one.accepted), (6000, Some(0), Some(9), Some(0)));
        assert_eq!((one.pid, one.comm.as_deref(), one.fd), (Some(12), Some("server"), Some(3)));
    }

    #[test]
    fn a_listener_that_went_leaves_its_counts_and_no_backlog() {
        let [one] = &merge(&[port(1)], &[], |_| true)[..] else { panic!("one") };
        assert_eq!((one.backlog, one.pid, one.fd), (None, None, None));
        assert_eq!((one.max_backlog, one.peak_backlog, one.accepted), (Some(5), Some(3), Some(7)));
    }

    #[test]
    fn older_children_that_were_accepted_count_for_a_listener_no_open_has_reached() {
        let (key, record) = port(0);
        let [one] = &merge(&[(key, record)], &[(1, listener(6000, 2))], |_| true)[..] else { panic!("one") };
        assert_eq!((one.accepted, one.max_backlog, one.peak_backlog), (Some(7), Some(9), Some(2)));
        let [one] = &merge(&[(key, record)], &[], |_| true)[..] else { panic!("one") };
        assert_eq!((one.accepted, one.max_backlog, one.peak_backlog), (Some(7), None, None));
        let in_vain = PortRecord { accepted: 0, ..record };
        assert!(merge(&[(key, in_vain)], &[], |_| true).is_empty());
    }

    #[test]
    fn of_two_at_one_port_the_one_that_was_reached_is_told() {
        for order in [[(1, 4), (2, 8)], [(2, 8), (1, 4)]] {
            let both = order.map(|(sk, backlog)| (sk, listener(6000, backlog)));
            let told = merge(&[port(1)], &both, |_| true);
            assert_eq!(told.iter().map(|l| l.backlog).collect::<Vec<_>>(), [Some(4)], "{order:?}");
            let told = merge(&[], &both, |_| true);
            assert_eq!(told.iter().map(|l| l.backlog).collect::<Vec<_>>(), [Some(8)], "{order:?}");
        }
    }

    #[test]
    fn a_backlog_that_is_not_told_is_unknown_until_an_open_tells_it() {
        let untold = listener(6000, UNTOLD);
        let untold = ListenerRecord { max_backlog: UNTOLD, ..untold };
        let [one] = &merge(&[], &[(1 << 63, untold)], |_| true)[..] else { panic!("one") };
        assert_eq!((one.backlog, one.max_backlog, one.peak_backlog, one.pid), (None, None, None, Some(12)));
        let [one] = &merge(&[port(1)], &[(1 << 63, untold)], |_| true)[..] else { panic!("one") };
        assert_eq!(
            (one.backlog, one.max_backlog, one.peak_backlog, one.pid),
            (None, Some(5), Some(3), Some(12))
        );
    }

    #[test]
    fn the_peak_is_the_highest_that_anybody_saw() {
        // By an open before the inventory came round, and by the inventory after the last open.
        for (now, peak) in [(1, 3), (6, 6)] {
            let told = merge(&[port(1)], &[(1, listener(6000, now))], |_| true);
            assert_eq!((told[0].backlog, told[0].peak_backlog), (Some(now), Some(peak)));
        }
    }

    #[test]
    fn what_no_probe_sees_is_unknown() {
        let [one] = &merge(&[port(1)], &[], |_| false)[..] else { panic!("one") };
        assert_eq!((one.accepted, one.drops.backlog_full, one.drops.never_accepted), (None, None, None));
    }
}
