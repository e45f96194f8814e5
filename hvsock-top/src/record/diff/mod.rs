//! Comparing two recordings: which differences are more than noise. docs/recording.md states the rules.

mod gather;
mod metrics;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use self::{
    gather::{Gathered, Series},
    metrics::{COUNTERS, Counter, LEVELS},
    stats::{ALPHA, BUCKETS, CHANGE, DELTA, FEWEST, mann_whitney, ranks},
};
use super::Replay;
use crate::model::Histogram;

pub use self::metrics::Unit;

/// Two recordings, compared.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Diff {
    /// The first.
    pub a: Side,
    /// The second.
    pub b: Side,
    /// What to bear in mind.
    pub notes: Vec<String>,
    /// What was compared, in a fixed order.
    pub metrics: Vec<Metric>,
}

/// One of the two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Side {
    /// The file.
    pub file: String,
    /// Host name of the guest.
    pub hostname: String,
    /// Its kernel release.
    pub kernel: String,
    /// Version of the tool that recorded.
    pub tool_version: String,
    /// When it began.
    pub started: String,
    /// The command that ran.
    pub command: Option<Vec<String>>,
    /// From the first Snapshot there is to the last.
    pub duration_ns: u64,
    /// Between Snapshots, as asked for.
    pub interval_ns: u64,
    /// Snapshots there are.
    pub snapshots: u64,
    /// Events there are.
    pub events: u64,
}

/// What is compared of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// How fast a count grew: all of it by all of the time.
    Rate,
    /// The mean over all Snapshots.
    Level,
    /// A percentile of what was added to a histogram.
    Percentile,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The difference is more than noise.
    Differs,
    /// Failures that happened in A alone.
    OnlyA,
    /// Failures that happened in B alone.
    OnlyB,
    /// No difference, or one that may be noise.
    Same,
    /// There are too few samples to tell.
    TooFew,
    /// A probe was missing, or events were missed.
    NotComparable,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Metric {
    /// What it is called: as in the Snapshot where it is there.
    pub name: String,
    /// What is compared.
    pub kind: Kind,
    /// Its unit.
    pub unit: Unit,
    /// In A; `None`: not measured, or nothing there to measure.
    pub a: Option<f64>,
    /// In B.
    pub b: Option<f64>,
    /// By how much B is larger, as a share of A; `None` where A is zero or unknown.
    pub change: Option<f64>,
    /// Samples of A that were compared: batches of intervals, or values in a histogram.
    pub samples_a: u64,
    /// The same of B.
    pub samples_b: u64,
    /// How likely a difference as large is by chance alone; `None` where no such test was made.
    pub p: Option<f64>,
    /// What came of it.
    pub verdict: Verdict,
    /// Why it is not comparable.
    pub reason: Option<String>,
}

impl Metric {
    /// Whether it deserves attention.
    pub fn is_marked(&self) -> bool {
        matches!(self.verdict, Verdict::Differs | Verdict::OnlyA | Verdict::OnlyB)
    }

    fn new(name: String, kind: Kind, unit: Unit) -> Self {
        Self {
            name,
            kind,
            unit,
            a: None,
            b: None,
            change: None,
            samples_a: 0,
            samples_b: 0,
            p: None,
            verdict: Verdict::NotComparable,
            reason: None,
        }
    }

    fn values(&mut self, a: Option<f64>, b: Option<f64>) {
        self.change = a.zip(b).filter(|(a, _)| *a != 0.0).map(|(a, b)| (b - a) / a);
        (self.a, self.b) = (a, b);
    }
}

/// Compares two recordings.
pub fn compare(a: (String, Replay), b: (String, Replay)) -> Diff {
    let (name_a, name_b) = (a.0, b.0);
    let (a, b) = (Gathered::read(a.1), Gathered::read(b.1));
    let mut metrics = Vec::new();
    for ((counter, a_series), b_series) in COUNTERS.iter().zip(&a.counters).zip(&b.counters) {
        metrics.push(rate(counter, (&a, a_series), (&b, b_series)));
    }
    for ((level, a_series), b_series) in LEVELS.iter().zip(&a.levels).zip(&b.levels) {
        let mut metric = Metric::new(level.name.to_owned(), Kind::Level, level.unit);
        metric.reason = trouble(Some(level.hooks), (&a, a_series), (&b, b_series));
        judge(&mut metric, a_series, b_series, 1.0);
        metrics.push(metric);
    }
    let names: BTreeSet<_> = a.last_latency.keys().chain(b.last_latency.keys()).collect();
    for name in names {
        percentiles(name, &a, &b, &mut metrics);
    }
    Diff { notes: notes(&a, &b), a: side(name_a, &a), b: side(name_b, &b), metrics }
}

fn side(file: String, g: &Gathered) -> Side {
    Side {
        file,
        hostname: g.header.hostname.clone(),
        kernel: g.header.kernel.clone(),
        tool_version: g.header.tool_version.clone(),
        started: g.header.started.clone(),
        command: g.header.command.clone(),
        duration_ns: g.duration_ns,
        interval_ns: g.header.interval_ns,
        snapshots: g.snapshots,
        events: g.events,
    }
}

/// What else is different, or missing.
fn notes(a: &Gathered, b: &Gathered) -> Vec<String> {
    let mut notes = Vec::new();
    for (letter, g) in [("A", a), ("B", b)] {
        match &g.broken {
            Some(error) => notes.push(format!("{letter}: {error}")),
            None if !g.ended => notes
                .push(format!("{letter} was not ended in order: its recorder was killed, or still records")),
            None => {}
        }
        if g.header.dropped > 0 {
            notes.push(format!("{letter} is bounded: its first {} Snapshots were dropped", g.header.dropped));
        }
    }
    let mut differs = |what: &str, a: &str, b: &str| {
        if a != b {
            notes.push(format!("{what} differs: {a} and {b}"));
        }
    };
    differs("the guest", &a.header.hostname, &b.header.hostname);
    differs("the kernel", &a.header.kernel, &b.header.kernel);
    differs("the version of hvsock-top", &a.header.tool_version, &b.header.tool_version);
    let seconds = |ns: u64| format!("{} s", ns as f64 / 1e9);
    differs("the interval", &seconds(a.header.interval_ns), &seconds(b.header.interval_ns));
    for probe in &a.probes {
        let other = b.probes.iter().find(|p| p.event == probe.event);
        if other.is_some_and(|other| other.backend != probe.backend) {
            notes.push(format!(
                "{} is attached in another way in each: latencies hold what that takes",
                probe.event
            ));
        }
    }
    notes
}

/// Why a metric is not comparable.
fn trouble(hooks: Option<&[&str]>, a: (&Gathered, &Series), b: (&Gathered, &Series)) -> Option<String> {
    [("A", a), ("B", b)].into_iter().find_map(|(letter, (gathered, series))| {
        let why = series.trouble.map(str::to_owned).or_else(|| gathered.distrust(hooks))?;
        Some(format!("{why} in {letter}"))
    })
}

fn rate(counter: &Counter, a: (&Gathered, &Series), b: (&Gathered, &Series)) -> Metric {
    let mut metric = Metric::new(counter.name.to_owned(), Kind::Rate, counter.unit);
    metric.reason = trouble(Some(counter.hooks), a, b);
    // Time is in nanoseconds; of shares both are.
    let scale = if counter.unit == Unit::Share { 1.0 } else { 1e9 };
    judge(&mut metric, a.1, b.1, scale);
    if counter.bad && metric.reason.is_none() {
        let happened = |v: Option<f64>| v.is_some_and(|v| v > 0.0);
        match (metric.a.zip(metric.b), happened(metric.a), happened(metric.b)) {
            (Some(_), true, false) => metric.verdict = Verdict::OnlyA,
            (Some(_), false, true) => metric.verdict = Verdict::OnlyB,
            _ => {}
        }
    }
    metric
}

/// Compares the samples of a rate or a level.
fn judge(metric: &mut Metric, a: &Series, b: &Series, scale: f64) {
    let mean = |series: &Series| {
        series.batches.total().filter(|_| series.trouble.is_none()).map(|(mean, _)| mean * scale)
    };
    metric.values(mean(a), mean(b));
    let (a, b) = (a.batches.means(), b.batches.means());
    (metric.samples_a, metric.samples_b) = (a.len() as u64, b.len() as u64);
    if metric.reason.is_some() {
        return;
    }
    let nothing = metric.a == Some(0.0) && metric.b == Some(0.0);
    if a.len() < FEWEST || b.len() < FEWEST {
        metric.verdict = if nothing { Verdict::Same } else { Verdict::TooFew };
        return;
    }
    let found = mann_whitney(&a, &b);
    metric.p = Some(found.p);
    let (Some(x), Some(y)) = (metric.a, metric.b) else { return };
    let larger = x.abs().max(y.abs());
    // The ranks and the means must agree on which is larger.
    let beyond = found.p < ALPHA
        && found.delta.abs() >= DELTA
        && (y - x).abs() >= CHANGE * larger
        && (y - x) * found.delta > 0.0;
    metric.verdict = if beyond { Verdict::Differs } else { Verdict::Same };
}

/// Compares three percentiles of a histogram.
fn percentiles(name: &str, a: &Gathered, b: &Gathered, metrics: &mut Vec<Metric>) {
    let hooks = metrics::of_latency(name);
    let trusted = |g: &Gathered| match g.distrust(hooks) {
        Some(why) => Err(why),
        None => g.latency(name).map_err(str::to_owned),
    };
    let (a, b) = (trusted(a), trusted(b));
    for (parts, suffix) in [(500, "p50"), (900, "p90"), (990, "p99")] {
        let mut metric = Metric::new(format!("latency.{name}.{suffix}"), Kind::Percentile, Unit::Nanoseconds);
        match (&a, &b) {
            (Ok(a), Ok(b)) => percentile(&mut metric, parts, a, b),
            (Err(why), _) => metric.reason = Some(format!("{why} in A")),
            (_, Err(why)) => metric.reason = Some(format!("{why} in B")),
        }
        metrics.push(metric);
    }
}

fn percentile(metric: &mut Metric, parts: u64, a: &Histogram, b: &Histogram) {
    let value = |h: &Histogram| h.percentile(parts).filter(|_| h.count > 0).map(|n| n as f64);
    metric.values(value(a), value(b));
    (metric.samples_a, metric.samples_b) = (a.count, b.count);
    let reach = |h: &Histogram| {
        let (low, high) = ranks(h.count, parts)?;
        Some((at_rank(h, low)?, at_rank(h, high)?))
    };
    metric.verdict = match (reach(a), reach(b), metric.a.zip(metric.b)) {
        (Some((a_low, a_high)), Some((b_low, b_high)), Some((x, y))) => {
            let apart = a_high < b_low || b_high < a_low;
            let beyond = (y - x).abs() >= BUCKETS * x.max(y);
            if apart && beyond { Verdict::Differs } else { Verdict::Same }
        }
        _ if a.count == 0 && b.count == 0 => Verdict::Same,
        _ => Verdict::TooFew,
    };
}

/// The upper bound of the bucket that holds the value of this rank, counted from one.
fn at_rank(histogram: &Histogram, rank: u64) -> Option<u64> {
    let mut below = 0_u64;
    histogram.buckets.iter().find_map(|(upper, n)| {
        below = below.saturating_add(*n);
        (below >= rank).then_some(*upper)
    })
}
