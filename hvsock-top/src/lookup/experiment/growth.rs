//! How costs grow with the number of sockets.

use super::{Direction, ExperimentReport, Growth, Line, Measure, OpenCell, Unit, Variant};
use crate::lookup::lab::fit;

/// Costs below this are noise: a cell there weighs as if its cost were so large.
const NOISE: f64 = 50.0;
/// The same for nodes.
const NOISE_NODES: f64 = 0.5;

const MEASURES: [Measure; 8] = [
    Measure::BoundNodes,
    Measure::ConnectedNodes,
    Measure::LookupPhase,
    Measure::BoundCost,
    Measure::ConnectedCost,
    Measure::OfferToProbe,
    Measure::Open,
    Measure::Life,
];

/// All lines that there are cells enough for.
pub(super) fn all(report: &ExperimentReport) -> Vec<Growth> {
    let mut found = Vec::new();
    for variant in Variant::ALL {
        for unit in [Unit::Instructions, Unit::Nanoseconds] {
            for direction in [Direction::FromHost, Direction::ToHost] {
                for over in [Line::Idle, Line::Services] {
                    let cells: Vec<_> = report
                        .opens
                        .iter()
                        .filter(|c| (c.variant, c.unit, c.direction, c.run) == (variant, unit, direction, 1))
                        .filter(|c| if over == Line::Idle { c.services == 1 } else { c.idle == 0 })
                        .collect();
                    found.extend(MEASURES.iter().filter_map(|m| of(&cells, over, *m)));
                }
            }
        }
    }
    found
}

fn of(cells: &[&OpenCell], over: Line, measure: Measure) -> Option<Growth> {
    let noise =
        if matches!(measure, Measure::BoundNodes | Measure::ConnectedNodes) { NOISE_NODES } else { NOISE };
    // Errors of measurement are in proportion to what is measured.
    let points: Vec<_> = cells
        .iter()
        .filter_map(|cell| {
            let x = if over == Line::Idle { cell.idle } else { cell.services };
            let y = value(cell, measure)?;
            Some((f64::from(x), y, y.max(noise).powi(-2)))
        })
        .collect();
    let first = cells.first()?;
    let line = fit::line(&points)?;
    let largest = points.iter().map(|p| p.0).fold(0.0, f64::max);
    Some(Growth {
        variant: first.variant,
        unit: first.unit,
        direction: first.direction,
        over,
        measure,
        points: points.len() as u32,
        constant: line.constant,
        constant_error: line.constant_error,
        per_socket: line.slope,
        per_socket_error: line.slope_error,
        shape: fit::shape(&line, largest, noise),
    })
}

/// The cell's value. `None` when it was not measured.
pub(super) fn value(cell: &OpenCell, measure: Measure) -> Option<f64> {
    let per_lookup = |walk: &super::Walk| {
        let lookups = walk.lookups.filter(|n| *n > 0)?;
        Some(walk.cost? as f64 / lookups as f64)
    };
    match measure {
        Measure::BoundNodes => cell.bound.nodes_per_lookup(),
        Measure::ConnectedNodes => cell.connected.nodes_per_lookup(),
        Measure::LookupPhase => cell.phase("lookup")?.cost.mean,
        Measure::BoundCost => per_lookup(&cell.bound),
        Measure::ConnectedCost => per_lookup(&cell.connected),
        Measure::OfferToProbe => cell.phase("offer_to_probe")?.cost.mean,
        Measure::Open => {
            let parts = cell.phases.iter().filter(|phase| phase.share.is_some());
            let sum: f64 = parts.map(|phase| phase.cost.mean.unwrap_or(0.0)).sum();
            (sum > 0.0).then_some(sum)
        }
        Measure::Life => cell.life.median.map(|n| n as f64),
    }
}
