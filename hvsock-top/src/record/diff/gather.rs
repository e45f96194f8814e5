//! Reads a recording once and keeps what is compared; how much that is does not depend on the recording's length.

use std::collections::BTreeMap;

use super::{
    metrics::{COUNTERS, LEVELS},
    stats::Batches,
};
use crate::{
    model::{Accounting, Histogram, Probe, Snapshot},
    record::{Header, ReadError, Record, Replay},
};

/// What is kept of one metric.
#[derive(Default)]
pub(super) struct Series {
    pub(super) batches: Batches,
    /// Why it cannot be compared.
    pub(super) trouble: Option<&'static str>,
    last: Option<u64>,
}

/// What is kept of a recording.
pub(super) struct Gathered {
    pub(super) header: Header,
    pub(super) snapshots: u64,
    pub(super) events: u64,
    pub(super) duration_ns: u64,
    /// In the order of [`COUNTERS`].
    pub(super) counters: Vec<Series>,
    /// In the order of [`LEVELS`].
    pub(super) levels: Vec<Series>,
    first_latency: BTreeMap<String, Option<Histogram>>,
    pub(super) last_latency: BTreeMap<String, Option<Histogram>>,
    accounting: Option<Accounting>,
    /// The last Snapshot's.
    pub(super) probes: Vec<Probe>,
    /// Whether it was ended in order.
    pub(super) ended: bool,
    /// Why it could not be read to its end.
    pub(super) broken: Option<ReadError>,
    uptime_ns: u64,
}

impl Gathered {
    /// Reads all of it. What is damaged is used as far as it can be read.
    pub(super) fn read(mut replay: Replay) -> Self {
        let mut gathered = Self {
            header: replay.header().clone(),
            snapshots: 0,
            events: 0,
            duration_ns: 0,
            counters: COUNTERS.iter().map(|_| Series::default()).collect(),
            levels: LEVELS.iter().map(|_| Series::default()).collect(),
            first_latency: BTreeMap::new(),
            last_latency: BTreeMap::new(),
            accounting: None,
            probes: Vec::new(),
            ended: false,
            broken: None,
            uptime_ns: 0,
        };
        loop {
            match replay.record() {
                Ok(Some(Record::Snapshot(snapshot))) => gathered.add(*snapshot),
                Ok(Some(Record::Event(_))) => gathered.events += 1,
                Ok(Some(Record::End(_))) => gathered.ended = true,
                Ok(None) => return gathered,
                Err(error) => {
                    gathered.broken = Some(error);
                    return gathered;
                }
            }
        }
    }

    fn add(&mut self, snapshot: Snapshot) {
        let is_first = self.snapshots == 0;
        let passed = if is_first { 0 } else { snapshot.uptime_ns.saturating_sub(self.uptime_ns) };
        for (counter, series) in COUNTERS.iter().zip(&mut self.counters) {
            let Some(now) = (counter.get)(&snapshot) else {
                series.trouble.get_or_insert("not measured");
                continue;
            };
            match series.last.replace(now).map(|last| now.checked_sub(last)) {
                None => {}
                Some(None) => drop(series.trouble.get_or_insert("it went back")),
                Some(Some(more)) if passed > 0 => series.batches.push(more as f64, passed as f64),
                // Without time there is no rate; what came meanwhile counts for the next interval.
                Some(Some(more)) => series.last = Some(now - more),
            }
        }
        for (level, series) in LEVELS.iter().zip(&mut self.levels) {
            match (level.get)(&snapshot) {
                Some(now) => series.batches.push(now, 1.0),
                None => drop(series.trouble.get_or_insert("not measured")),
            }
        }
        if is_first {
            self.first_latency.clone_from(&snapshot.latency);
        }
        self.snapshots += 1;
        self.duration_ns = self.duration_ns.saturating_add(passed);
        self.uptime_ns = snapshot.uptime_ns;
        self.last_latency = snapshot.latency;
        self.accounting = Some(snapshot.accounting);
        self.probes = snapshot.probes;
    }

    /// What was added to a histogram from the first Snapshot to the last.
    pub(super) fn latency(&self, name: &str) -> Result<Histogram, &'static str> {
        let last = self.last_latency.get(name).and_then(Option::as_ref).ok_or("not measured")?;
        let first = self.first_latency.get(name).and_then(Option::as_ref).ok_or("not measured")?;
        let before: BTreeMap<u64, u64> = first.buckets.iter().copied().collect();
        let mut buckets = Vec::new();
        let mut count = 0_u64;
        for (upper, n) in &last.buckets {
            let more = n.checked_sub(before.get(upper).copied().unwrap_or(0)).ok_or("it went back")?;
            count = count.saturating_add(more);
            if more > 0 {
                buckets.push((*upper, more));
            }
        }
        Ok(Histogram { count, buckets, max_ns: last.max_ns, ..Histogram::default() })
    }

    /// Why what these hooks make cannot be trusted; `None` for `hooks`: any of them may matter.
    pub(super) fn distrust(&self, hooks: Option<&[&str]>) -> Option<String> {
        let Some(accounting) = &self.accounting else { return Some("there is no Snapshot".to_owned()) };
        if accounting.reconciled {
            return None;
        }
        // A lost event is missing from the list of events alone; totals have it.
        let wrong = |hook: &crate::model::Hook| {
            let sum = [hook.recorded, hook.filtered, hook.ring_full, hook.map_full, hook.faulted];
            hook.map_full > 0
                || hook.unpaired > 0
                || hook.missed.unwrap_or(0) > 0
                || sum.iter().try_fold(0_u64, |sum, n| sum.checked_add(*n)) != Some(hook.seen)
        };
        let mut guilty =
            accounting.hooks.iter().filter(|(_, hook)| wrong(hook)).map(|(name, _)| name.as_str());
        let named = guilty.clone().find(|name| hooks.is_none_or(|hooks| hooks.contains(name)));
        if let Some(name) = named {
            return Some(format!("events of {name} were missed"));
        }
        // Something did not reconcile that no hook explains: it may be anywhere.
        let explained = guilty.next().is_some() || accounting.hooks.values().any(|hook| hook.ring_full > 0);
        (!explained).then(|| "accounting did not reconcile".to_owned())
    }
}
