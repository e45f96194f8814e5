//! From what the machines said to a report. What does not agree with theory and the host's ledger makes none.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    BurstCell, ContentionCell, Cost, Direction, ExperimentReport, Heading, Mutex, OpenCell, Phase, SCHEMA,
    Unit, Variant, Walk, check, growth,
};
use crate::model::Histogram;

/// The phases of an open: disjoint, and together all of it.
const OPEN: [&str; 5] = ["offer_to_probe", "lookup", "ring_alloc", "host_open", "other_open"];
/// The others that are of interest.
const OTHERS: [&str; 3] = ["connect", "accept_wait", "close"];

/// The Snapshot's `latency`.
type Latency = BTreeMap<String, Option<Histogram>>;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum Wrong {
    /// A line that is not one of those known.
    #[error("line {line} is not what the experiment says: {error}")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// The heading, or all cells, are missing.
    #[error("nothing about {0}: the experiment has not run to its end")]
    Missing(&'static str),
    /// A cell that is not of what it says.
    #[error("{cell}: {what}")]
    Cell {
        /// Which.
        cell: String,
        /// What is wrong.
        what: String,
    },
}

/// One line.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Heading(Heading),
    Open(Open),
    Burst(Burst),
    Contention(Contention),
    Ring(Ring),
}

/// The rings of one family's connections.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ring {
    unit: Unit,
    family: Family,
    bytes: u64,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Family {
    AfHyperv,
    HvSock,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Open {
    variant: Variant,
    unit: Unit,
    direction: Direction,
    idle: u32,
    services: u32,
    run: u32,
    opens: u32,
    ledger_opens: u32,
    then: Latency,
    now: Latency,
    reconciled: bool,
    life: Vec<u64>,
    bound: Walk,
    connected: Walk,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Burst {
    variant: Variant,
    unit: Unit,
    direction: Direction,
    idle: u32,
    run: u32,
    opens: u32,
    ledger_opens: u32,
    elapsed: u64,
    busy: u64,
    bound: Walk,
    connected: Walk,
    mutex: Option<Mutex>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Contention {
    variant: Variant,
    unit: Unit,
    idle: u32,
    threads: u32,
    run: u32,
    opening: bool,
    ledger_opens: u32,
    bind: Vec<u64>,
    close: Vec<u64>,
    mutex: Option<Mutex>,
}

/// Reads what was said, one JSON object a line, checks it and makes the report.
pub fn make(text: &str, time: String) -> Result<ExperimentReport, Wrong> {
    let mut report = ExperimentReport {
        schema: SCHEMA,
        time,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..ExperimentReport::default()
    };
    let mut headed = false;
    for (i, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str(line).map_err(|error| Wrong::Line { line: i + 1, error })? {
            Said::Heading(heading) => {
                report.heading = heading;
                headed = true;
            }
            Said::Open(said) => report.opens.push(open(said)?),
            Said::Burst(said) => report.bursts.push(burst(&said)?),
            Said::Contention(said) => report.contention.push(contention(said)?),
            Said::Ring(said) => {
                let guest = report.heading.guests.iter_mut().find(|guest| guest.unit == said.unit);
                let guest = guest.ok_or(Wrong::Missing("the machine"))?;
                match said.family {
                    Family::AfHyperv => guest.af_hyperv_ring_bytes = Some(said.bytes),
                    Family::HvSock => guest.hv_sock_ring_bytes = Some(said.bytes),
                }
            }
        }
    }
    if !headed {
        return Err(Wrong::Missing("the machines"));
    }
    if report.opens.is_empty() {
        return Err(Wrong::Missing("opens"));
    }
    report.growth = growth::all(&report);
    report.checks = check::all(&report);
    Ok(report)
}

/// How well a figure is known to be of this cell.
fn ensure(holds: bool, cell: &str, what: impl FnOnce() -> String) -> Result<(), Wrong> {
    if holds { Ok(()) } else { Err(Wrong::Cell { cell: cell.to_owned(), what: what() }) }
}

/// The module counts, hv_sock does not; and what was counted is what theory says.
fn walked(walk: &Walk, kind: &str, variant: Variant, cell: &str) -> Result<(), Wrong> {
    let counts = variant != Variant::HvSock;
    ensure(
        walk.lookups.is_some() == counts && walk.nodes.is_some() == counts && walk.cost.is_some() == counts,
        cell,
        || format!("{kind}: counted by a family that does not count, or not counted by one that does"),
    )?;
    ensure(walk.is_exact() != Some(false), cell, || {
        format!("the walks of {kind} sockets are not those of theory: {walk:?}")
    })
}

/// AF_HYPERV's mutex was taken as often as there was reason to, and whoever waited did so for some time.
fn locked(mutex: Option<&Mutex>, locks: u64, variant: Variant, cell: &str) -> Result<(), Wrong> {
    ensure(mutex.is_some() == (variant != Variant::HvSock), cell, || "whose mutex is it?".to_owned())?;
    let Some(mutex) = mutex else { return Ok(()) };
    let waited = mutex.contended <= mutex.locks && (mutex.contended > 0) == (mutex.wait > 0);
    ensure(mutex.locks == locks && waited && mutex.held > 0, cell, || {
        format!("the mutex should have been taken {locks} times: {mutex:?}")
    })
}

fn open(said: Open) -> Result<OpenCell, Wrong> {
    let Open { variant, unit, direction, idle, services, run, opens, ledger_opens, .. } = said;
    let cell =
        format!("{}, {direction:?}, {idle} idle, {services} services, run {run}, {unit:?}", variant.label());
    ensure(opens > 0 && ledger_opens == opens, &cell, || {
        format!("{opens} connections, of which the host saw {ledger_opens} opened")
    })?;
    ensure(said.life.len() == opens as usize, &cell, || format!("{} lives of {opens}", said.life.len()))?;
    ensure(said.reconciled, &cell, || "hvsock-top's accounts do not add up".to_owned())?;
    walked(&said.bound, "bound", variant, &cell)?;
    walked(&said.connected, "connected", variant, &cell)?;
    let grown = |name: &str| {
        let new = said.now.get(name)?.as_ref()?;
        Some(new.since(&said.then.get(name).cloned().flatten().unwrap_or_default()))
    };
    let whole: Option<u64> = OPEN.iter().map(|name| Some(grown(name)?.sum_ns)).sum();
    let mut phases = Vec::new();
    for name in OPEN.iter().chain(&OTHERS) {
        let Some(grown) = grown(name) else { continue };
        let part = OPEN.contains(name);
        ensure(!part || grown.count == u64::from(opens), &cell, || {
            format!("hvsock-top saw the phase {name} {} times in {opens} opens", grown.count)
        })?;
        if grown.count > 0 {
            let share =
                whole.filter(|whole| part && *whole > 0).map(|whole| grown.sum_ns as f64 / whole as f64);
            phases.push(Phase { name: (*name).to_owned(), cost: of_histogram(&grown), share });
        }
    }
    Ok(OpenCell {
        variant,
        unit,
        direction,
        idle,
        services,
        run,
        opens,
        ledger_opens,
        phases,
        life: of_samples(said.life),
        bound: said.bound,
        connected: said.connected,
    })
}

fn burst(said: &Burst) -> Result<BurstCell, Wrong> {
    let Burst { variant, unit, direction, idle, run, opens, ledger_opens, elapsed, .. } = *said;
    let cell = format!("{}, burst, {direction:?}, {idle} idle, run {run}, {unit:?}", variant.label());
    ensure(opens > 0 && ledger_opens == opens && elapsed > 0, &cell, || {
        format!("{opens} connections, of which the host saw {ledger_opens} opened within {elapsed}")
    })?;
    // Open, rescind and close take the mutex once each; a connect() does too.
    let each = if direction == Direction::FromHost { 3 } else { 4 };
    locked(said.mutex.as_ref(), each * u64::from(opens), variant, &cell)?;
    walked(&said.bound, "bound", variant, &cell)?;
    walked(&said.connected, "connected", variant, &cell)?;
    let looked_up = said.bound.cost.zip(said.connected.cost).map(|(bound, connected)| bound + connected);
    Ok(BurstCell {
        variant,
        unit,
        direction,
        idle,
        run,
        opens,
        ledger_opens,
        elapsed,
        per_billion: f64::from(opens) * 1e9 / elapsed as f64,
        life_mean: said.busy as f64 / f64::from(opens),
        lookup_share: looked_up.filter(|_| said.busy > 0).map(|cost| cost as f64 / said.busy as f64),
        bound: said.bound,
        connected: said.connected,
        mutex: said.mutex,
    })
}

fn contention(said: Contention) -> Result<ContentionCell, Wrong> {
    let Contention { variant, unit, idle, threads, run, opening, ledger_opens, .. } = said;
    let cell = format!("{}, contention, {idle} idle, run {run}, {unit:?}", variant.label());
    ensure(!said.bind.is_empty() && said.bind.len() == said.close.len(), &cell, || {
        format!("{} binds and {} closes", said.bind.len(), said.close.len())
    })?;
    ensure(opening == (ledger_opens > 0), &cell, || format!("{ledger_opens} opens"))?;
    let locks = 2 * said.bind.len() as u64 + 3 * u64::from(ledger_opens);
    locked(said.mutex.as_ref(), locks, variant, &cell)?;
    Ok(ContentionCell {
        variant,
        unit,
        idle,
        threads,
        run,
        opening,
        ledger_opens,
        bind: of_samples(said.bind),
        close: of_samples(said.close),
        mutex: said.mutex,
    })
}

fn of_histogram(histogram: &Histogram) -> Cost {
    Cost {
        count: histogram.count,
        sum: histogram.sum_ns,
        mean: (histogram.count > 0).then(|| histogram.sum_ns as f64 / histogram.count as f64),
        median: histogram.p50_ns,
        p99: histogram.p99_ns,
        max: histogram.max_ns,
    }
}

fn of_samples(mut samples: Vec<u64>) -> Cost {
    samples.sort_unstable();
    let (count, sum) = (samples.len() as u64, samples.iter().sum::<u64>());
    // The value that so many per thousand do not exceed.
    let part = |parts: usize| samples.get((samples.len() * parts).div_ceil(1000).max(1) - 1).copied();
    Cost {
        count,
        sum,
        mean: (count > 0).then(|| sum as f64 / count as f64),
        median: part(500),
        p99: part(990),
        max: samples.last().copied(),
    }
}
