//! What the figures mean, in plain words, with their uncertainty.

use super::{
    Measured, sizes,
    words::{count, range, share, time},
};
use crate::lookup::{
    experiment::{Direction, ExperimentReport, Growth, Line, Measure, OpenCell, Unit, Variant},
    lab::{Cache, Kind, LabReport, Structure},
};

/// Channels a VMBus can have: more sockets cannot be connected.
const VMBUS: u32 = 2048;

/// All that can be said of what was measured.
pub(super) fn verdict(measured: Measured<'_>) -> Vec<String> {
    let Measured { lab, live, experiment } = measured;
    let mut said: Vec<_> = experiment.and_then(short).into_iter().collect();
    said.extend(structures(lab));
    let lookup = live.and_then(|live| live.phases.iter().find(|phase| phase.name == "lookup"));
    match lookup.map(|phase| (phase.share, phase.p50_ns, phase.count)) {
        Some((Some(share), Some(median), Some(count))) => {
            said.push(format!(
                "In the opens that were watched ({count}), finding the listener took {} (median), {:.2} % of the time; the probe's own time is in it, \
                 so it is no more than this.",
                time(median as f64),
                100.0 * share
            ));
            said.push(if share < 0.05 {
                "On this guest a better lookup structure would not be noticed: the time of an open goes elsewhere.".into()
            } else {
                "On this guest the lookup is a part of an open that can be noticed.".into()
            });
        }
        _ => said.push("How long an open takes on a guest of Hyper-V, and what share the lookup has of that time, was not measured: give a report of `hvsock-top lookup live --json` \
             from one.".into()),
    }
    said.extend(experiment.into_iter().flat_map(sockets));
    said.extend(experiment.and_then(|report| memory(lab, report)));
    said.push(
        "The patch searched the bound sockets on each open, bind and connect, and the connected ones when the host took a channel back, never for data, so that \
         none of this is paid per packet. It held its one mutex while the host answered, too, which no lookup structure changes."
            .into(),
    );
    said
}

/// What the laboratory says.
fn structures(lab: &LabReport) -> Vec<String> {
    // A VMBus has no more connections; what was measured nearest to it.
    let Some(size) = sizes(lab).into_iter().rev().find(|n| *n <= VMBUS) else {
        return vec!["The laboratory measured nothing at a number of sockets that a guest can have.".into()];
    };
    let hit = |structure, cache| lab.cell(structure, size, Kind::Hit, cache);
    let mut said = Vec::new();
    if let (Some(list), Some(hash), Some(pointer)) = (
        hit(Structure::ListByGuid, Cache::Warm),
        hit(Structure::Hash251, Cache::Warm),
        hit(Structure::Pointer, Cache::Warm),
    ) {
        said.push(format!(
            "Among {size} sockets, with warm caches, the patch's list finds one in {}, vsock's 251 buckets in {}; a pointer kept with the channel, which serves \
             connected sockets only, in {}.",
            range(list),
            range(hash),
            range(pointer)
        ));
    }
    if let Some(cold) = hit(Structure::ListByGuid, Cache::Cold) {
        said.push(format!(
            "With cold caches, which is more like an open now and then, the list takes {}.",
            range(cold)
        ));
    }
    said
}

/// What the experiment says. Instructions repeat; nanoseconds of an emulated CPU would not.
fn sockets(report: &ExperimentReport) -> Vec<String> {
    let mut said = Vec::new();
    let unit = Unit::Instructions;
    let growth = |variant, measure| report.growth(variant, unit, Direction::FromHost, Line::Idle, measure);
    let largest = largest(report, Variant::AfHypervList);
    if let (Some(life), Some(lookup), Some(cell)) = (
        growth(Variant::AfHypervList, Measure::Life),
        growth(Variant::AfHypervList, Measure::LookupPhase),
        largest,
    ) {
        said.push(format!(
            "In the sockets themselves (Linux {}, AF_HYPERV as the patch had it), a connection from the host, from its open until all is quiet \
             after its close, runs {} instructions where there is no other, and the lookup of its open {} more for each that exists. With {} of those the \
             lookup is {} of the open{}.",
            report.heading.kernel,
            count(life.constant),
            per_socket(lookup),
            cell.idle,
            share(cell.phase("lookup").and_then(|phase| phase.share)),
            tenth(life, growth(Variant::AfHypervList, Measure::BoundCost), growth(Variant::AfHypervList, Measure::ConnectedCost)),
        ));
    }
    let others: Vec<_> = [Variant::AfHypervHash, Variant::AfHypervPointer, Variant::HvSock]
        .into_iter()
        .filter_map(|variant| {
            let (lookup, cell) = (growth(variant, Measure::LookupPhase)?, self::largest(report, variant)?);
            let part = share(cell.phase("lookup").and_then(|phase| phase.share));
            Some(format!("{} {}, {part} of the open with {}", variant.label(), per_socket(lookup), cell.idle))
        })
        .collect();
    if !others.is_empty() {
        said.push(format!(
            "Where there are buckets, each connection adds hardly anything: {}.",
            others.join("; ")
        ));
    }
    if let Some(scan) = growth(Variant::HvSock, Measure::OfferToProbe) {
        said.push(format!(
            "Whatever the family does, the VMBus driver compares each offer with all channels: from the offer to the probe {} instructions for each \
             connection that exists.",
            per_socket(scan)
        ));
    }
    said.extend(saturation(report));
    said
}

/// What the instructions cannot know: how long memory takes. The laboratory's walk of about as many nodes as the experiment's longest.
fn memory(lab: &LabReport, report: &ExperimentReport) -> Option<String> {
    let nodes = largest(report, Variant::AfHypervList)?.bound.nodes_per_lookup()?;
    let size = sizes(lab).into_iter().min_by_key(|size| (f64::from(*size) - nodes).abs() as u64)?;
    let worst = |cache| lab.cell(Structure::ListByGuid, size, Kind::Worst, cache).map(range);
    let (warm, cold) = (worst(Cache::Warm)?, worst(Cache::Cold)?);
    Some(format!(
        "Instructions know nothing of memory: to walk all of {size} sockets took {warm} with warm caches on the laboratory's machine, and {cold} with cold ones."
    ))
}

/// The decision: whether a hash costs anything where there is little to find, and what a list costs where there is much.
fn short(report: &ExperimentReport) -> Option<String> {
    let of = |variant, idle| report.open(variant, Unit::Instructions, Direction::FromHost, (idle, 1));
    let lookup = |cell: &OpenCell| cell.phase("lookup").map(|phase| (phase.cost.mean, phase.share));
    let (one, _) = lookup(of(Variant::AfHypervList, 0)?)?;
    let (bucket, _) = lookup(of(Variant::AfHypervHash, 0)?)?;
    let (one, bucket) = (one?, bucket?);
    let most = largest(report, Variant::AfHypervList)?;
    let more = if bucket > one * 1.1 { "more" } else { "hardly more" };
    Some(format!(
        "In short: where there is one socket a hash costs {more} than the list ({bucket:.0} instructions against {one:.0}), and it stays so. The list's lookup grows \
         to {} of an open with {} connections{}: it would do where there are few, and nothing speaks for it where there are many.",
        share(lookup(most)?.1),
        most.idle,
        of(Variant::AfHypervList, 100)
            .and_then(lookup)
            .map_or_else(String::new, |(_, part)| format!(", from {} with 100", share(part))),
    ))
}

/// The cell with the most idle connections and one service, opened by the host.
fn largest(report: &ExperimentReport, variant: Variant) -> Option<&OpenCell> {
    let of = |c: &&OpenCell| {
        (c.variant, c.unit, c.direction, c.services, c.run)
            == (variant, Unit::Instructions, Direction::FromHost, 1, 1)
    };
    report.opens.iter().filter(of).max_by_key(|cell| cell.idle)
}

fn per_socket(growth: &Growth) -> String {
    let digits = if growth.per_socket.abs() < 1.0 { 3 } else { 2 };
    format!("{:.digits$} ± {:.digits$}", growth.per_socket, growth.per_socket_error)
}

/// From how many connections on the two lookups, at the open and when the channel is taken back, are a tenth of all that is run for one.
fn tenth(life: &Growth, bound: Option<&Growth>, connected: Option<&Growth>) -> String {
    let (Some(bound), Some(connected)) = (bound, connected) else { return String::new() };
    let known = [bound, connected].iter().all(|g| g.per_socket > 5.0 * g.per_socket_error);
    let n = (life.constant / 10.0 - bound.constant - connected.constant)
        / (bound.per_socket + connected.per_socket - life.per_socket / 10.0);
    // Where the slopes are not known well, neither is this; and where all grows faster it never comes to that.
    if !known || !n.is_finite() || n <= 0.0 {
        return String::new();
    }
    let instead =
        if n > f64::from(VMBUS) { format!(", and a VMBus has {VMBUS} channels") } else { String::new() };
    format!(
        "; this one and that for the channel, when it is taken back, would be a tenth of all that is run at {} connections{instead}",
        count(n)
    )
}

/// How many connections a second there can be, with few others and with many.
fn saturation(report: &ExperimentReport) -> Option<String> {
    let of = |variant| {
        let cells = report.bursts.iter().filter(move |c| {
            (c.variant, c.unit, c.direction, c.run) == (variant, Unit::Instructions, Direction::FromHost, 1)
        });
        let few = cells.clone().min_by_key(|c| c.idle)?;
        let many = cells.max_by_key(|c| c.idle)?;
        (few.idle < many.idle).then_some((few, many))
    };
    let told = |variant: Variant| {
        let (few, many) = of(variant)?;
        Some(format!(
            "{} {} a second with {} idle connections and {} with {}",
            variant.label(),
            count(few.per_billion),
            few.idle,
            count(many.per_billion),
            many.idle
        ))
    };
    let all: Vec<_> = Variant::ALL.into_iter().filter_map(told).collect();
    (!all.is_empty()).then(|| {
        format!(
            "A CPU of 10⁹ instructions a second that never waits for memory would open: {}.",
            all.join("; ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::lab::Shape;

    fn growth(constant: f64, per_socket: f64, per_socket_error: f64) -> Growth {
        Growth {
            variant: Variant::AfHypervList,
            unit: Unit::Instructions,
            direction: Direction::FromHost,
            over: Line::Idle,
            measure: Measure::Life,
            points: 5,
            constant,
            constant_error: 1.0,
            per_socket,
            per_socket_error,
            shape: Shape::Linear,
        }
    }

    #[test]
    fn a_tenth_is_told_where_the_slope_is_known() {
        let tenth = |life: f64, life_slope, slope, error| {
            let lookup = growth(50.0, slope, error);
            tenth(&growth(life, life_slope, 1.0), Some(&lookup), Some(&lookup))
        };
        // 100 + 20 N is a tenth of 181,000 + 20 N at 1,000.
        let told = tenth(181_000.0, 20.0, 10.0, 1.0);
        assert!(told.contains("at 1000 connections") && !told.contains("VMBus"), "{told}");
        assert!(tenth(900_000.0, 0.0, 10.0, 1.0).contains("a VMBus has 2048"));
        assert_eq!(tenth(90_000.0, 10.0, 10.0, 3.0), "", "hardly known");
        assert_eq!(tenth(90_000.0, 10.0, -10.0, 1.0), "", "falls");
        assert_eq!(tenth(90_000.0, 300.0, 10.0, 1.0), "", "all else grows faster");
    }
}
