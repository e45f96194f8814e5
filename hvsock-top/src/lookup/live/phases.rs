//! The phases of the opens between two Snapshots.

use super::{Phase, Scan};
use crate::model::{ProbeState, Snapshot};

/// The phases of an open that the host begins, in their order: disjoint, and together the whole time from the offer to the connection.
const PHASES: [&str; 5] = ["offer_to_probe", "lookup", "ring_alloc", "host_open", "other_open"];

/// What happened between two Snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// Time between them.
    pub observed_ns: u64,
    /// Lookups.
    pub lookups: Option<u64>,
    /// The phases.
    pub phases: Vec<Phase>,
    /// What is linear still.
    pub scan: Scan,
    /// What cannot be seen, and why.
    pub unseen: Vec<String>,
}

/// Compares two Snapshots. `channels`: the devices on the VMBus.
pub fn window(then: &Snapshot, now: &Snapshot, channels: Option<u64>) -> Window {
    let grown = |name: &str| {
        let new = now.latency.get(name)?.as_ref()?;
        let old = then.latency.get(name).cloned().flatten().unwrap_or_default();
        Some(new.since(&old))
    };
    let all: Vec<_> = PHASES.map(|name| (name, grown(name))).into();
    let whole: Option<u64> = all.iter().map(|(_, phase)| Some(phase.as_ref()?.sum_ns)).sum();
    let whole = whole.filter(|ns| *ns > 0);
    let phases: Vec<_> = all
        .into_iter()
        .map(|(name, phase)| Phase {
            name: name.to_owned(),
            seen: phase.is_some(),
            count: phase.as_ref().map(|p| p.count),
            sum_ns: phase.as_ref().map(|p| p.sum_ns),
            p50_ns: phase.as_ref().and_then(|p| p.p50_ns),
            p99_ns: phase.as_ref().and_then(|p| p.p99_ns),
            share: phase.as_ref().zip(whole).map(|(p, whole)| p.sum_ns as f64 / whole as f64),
            buckets: phase.map(|p| p.buckets),
        })
        .collect();
    let of = |name: &str| phases.iter().find(|phase| phase.name == name);
    let unseen = now
        .probes
        .iter()
        .filter(|probe| probe.state != ProbeState::Active)
        .filter(|probe| {
            ["offer", "open", "lookup", "ring_alloc", "host_open"].contains(&probe.event.as_str())
        })
        .map(|probe| format!("{}: {}", probe.event, probe.reason.as_deref().unwrap_or("no reason is known")))
        .collect();
    Window {
        observed_ns: now.uptime_ns.saturating_sub(then.uptime_ns),
        lookups: of("lookup").and_then(|phase| phase.count),
        scan: Scan {
            channels,
            offer_to_probe_share: of("offer_to_probe").and_then(|phase| phase.share),
            waiting: now.totals.offers_waiting,
        },
        phases,
        unseen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Histogram;

    fn with(snapshot: &mut Snapshot, name: &str, count: u64, each: u64) {
        let histogram =
            Histogram { count, sum_ns: count * each, buckets: vec![(each, count)], ..Histogram::default() };
        snapshot.latency.insert(name.to_owned(), Some(histogram));
    }

    #[test]
    fn shares_are_of_what_happened_between() {
        let (mut then, mut now) = (Snapshot::blank(0), Snapshot::blank(0));
        now.uptime_ns = then.uptime_ns + 2_000_000_000;
        for name in PHASES {
            with(&mut then, name, 10, 100);
            with(&mut now, name, 20, 100);
        }
        with(&mut now, "host_open", 70, 100);
        let window = window(&then, &now, Some(9));
        assert_eq!((window.observed_ns, window.lookups), (2_000_000_000, Some(10)));
        let share = |name: &str| window.phases.iter().find(|p| p.name == name).unwrap().share.unwrap();
        assert!((share("lookup") - 0.1).abs() < 1e-9, "{window:?}");
        assert!((share("host_open") - 0.6).abs() < 1e-9, "{window:?}");
        assert!((window.phases.iter().map(|p| p.share.unwrap()).sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(window.scan.channels, Some(9));
    }

    #[test]
    fn a_phase_that_is_not_seen_makes_all_shares_unknown() {
        let (mut then, mut now) = (Snapshot::blank(0), Snapshot::blank(0));
        for name in PHASES {
            with(&mut then, name, 0, 100);
            with(&mut now, name, 5, 100);
        }
        now.latency.insert("ring_alloc".to_owned(), None);
        let window = window(&then, &now, None);
        assert!(window.phases.iter().all(|phase| phase.share.is_none()), "{window:?}");
        assert_eq!(window.phases[2].count, None);
        assert!(!window.phases[2].seen);
        assert_eq!(window.lookups, Some(5));
    }
}
