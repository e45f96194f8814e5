//! What theory and the laboratory predict, held against what the sockets show.

use super::{Check, Direction, ExperimentReport, Growth, Line, Measure, Unit, Variant, growth};

/// How far a slope of nodes may be from theory: their number is exact, the arithmetic is not.
const EXACT: f64 = 1e-6;
/// How far apart the same work may be when it is done again: what waits for a timer is not always the same.
const SAME: f64 = 0.05;
/// vsock's buckets, and AF_HYPERV's.
const BUCKETS: f64 = 251.0;
/// What a hash may cost more for each socket, of what the list does. Theory says 1/502 in nodes.
const PART: f64 = 0.05;

/// All predictions that the report has cells for.
pub(super) fn all(report: &ExperimentReport) -> Vec<Check> {
    let mut checks = Vec::new();
    for unit in [Unit::Instructions, Unit::Nanoseconds] {
        let slope = |variant, measure| {
            let over = Line::Idle;
            report.growth(variant, unit, Direction::FromHost, over, measure)
        };
        for (measure, name) in [(Measure::BoundNodes, "bound"), (Measure::ConnectedNodes, "connected")] {
            // hv_sock counts nothing: there it would be theory against itself.
            for variant in [Variant::AfHypervList, Variant::AfHypervHash, Variant::AfHypervPointer] {
                let exact = match (variant, measure) {
                    (Variant::AfHypervList, _) => Some(1.0),
                    (Variant::AfHypervPointer, Measure::ConnectedNodes) => Some(0.0),
                    _ => None,
                };
                checks.extend(match exact {
                    Some(slope_is) => slope(variant, measure).map(|growth| Check {
                        expected: format!(
                            "{}: sockets compared for a {name} one grow by {slope_is} for each idle connection ({unit:?})",
                            variant.label()
                        ),
                        found: figures(growth),
                        holds: (growth.per_socket - slope_is).abs() < EXACT,
                    }),
                    None => chains(report, variant, unit, measure, name),
                });
            }
        }
        let Some(list) = slope(Variant::AfHypervList, Measure::LookupPhase) else { continue };
        // An emulated CPU's time is too noisy for a verdict.
        if unit == Unit::Nanoseconds {
            continue;
        }
        checks.push(Check {
            expected: "AF_HYPERV, list: the lookup of an open costs more for each idle connection".to_owned(),
            found: figures(list),
            holds: list.per_socket > 5.0 * list.per_socket_error && list.per_socket > 1.0,
        });
        for variant in [Variant::AfHypervHash, Variant::AfHypervPointer, Variant::HvSock] {
            let Some(growth) = slope(variant, Measure::LookupPhase) else { continue };
            checks.push(Check {
                expected: format!(
                    "{}: for each idle connection the lookup of an open grows by less than 5 % of the list's, give or take two standard errors",
                    variant.label()
                ),
                found: figures(growth),
                // A timer's interrupt within a lookup makes one cell stand out, and the error large; but not any error will do.
                holds: growth.per_socket.abs() - 2.0 * growth.per_socket_error < PART * list.per_socket
                    && growth.per_socket.abs() < list.per_socket / 2.0,
            });
        }
    }
    checks.extend(repeats(report));
    checks
}

/// Cells that were measured twice, where instructions are counted.
fn repeats(report: &ExperimentReport) -> impl Iterator<Item = Check> {
    let twice = report.opens.iter().filter(|c| c.unit == Unit::Instructions && c.run == 2);
    twice.filter_map(|second| {
        let first =
            report.open(second.variant, second.unit, second.direction, (second.idle, second.services))?;
        let of = |measure| Some((growth::value(first, measure)?, growth::value(second, measure)?));
        let (lookup, life) = (of(Measure::LookupPhase)?, of(Measure::Life)?);
        let apart = (life.0 - life.1).abs() / life.0;
        Some(Check {
            expected: format!(
                "{}, {:?}, {} idle, measured twice: a whole connection takes the same instructions within 5 %",
                second.variant.label(),
                second.direction,
                second.idle
            ),
            found: format!(
                "{:.0} and {:.0}, {:.2} % apart; the lookup in its open {:.1} and {:.1}",
                life.0,
                life.1,
                apart * 100.0,
                lookup.0,
                lookup.1
            ),
            holds: apart < SAME,
        })
    })
}

/// The chains of a hash: names and relids are given out one after the other, so that its buckets fill evenly.
fn chains(
    report: &ExperimentReport,
    variant: Variant,
    unit: Unit,
    measure: Measure,
    name: &str,
) -> Option<Check> {
    let cells = report.opens.iter().filter(|c| (c.variant, c.unit, c.services) == (variant, unit, 1));
    let over = cells.filter_map(|c| {
        let nodes = growth::value(c, measure)?;
        Some((nodes, nodes - 2.0 - (f64::from(c.idle) / BUCKETS).ceil()))
    });
    let (most, beyond) =
        over.fold((None, f64::NEG_INFINITY), |(most, by): (Option<f64>, f64), (nodes, beyond)| {
            (Some(most.map_or(nodes, |most| most.max(nodes))), by.max(beyond))
        });
    Some(Check {
        expected: format!(
            "{}: no more sockets are compared for a {name} one than the fullest of 251 buckets has ({unit:?})",
            variant.label()
        ),
        found: format!("{:.2} at most", most?),
        holds: beyond <= 0.0,
    })
}

fn figures(growth: &Growth) -> String {
    format!(
        "{:.4} ± {:.4} for each, over {:.1} ± {:.1}, through {} cells",
        growth.per_socket, growth.per_socket_error, growth.constant, growth.constant_error, growth.points
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::experiment::{Cost, OpenCell, Phase, Walk};

    /// Cells of a variant whose lookups compare so many, at eight instructions each.
    fn report(variant: Variant, nodes: impl Fn(u32) -> u64) -> ExperimentReport {
        let cell = |idle| {
            let nodes = nodes(idle);
            let mean = Some(500.0 + 8.0 * nodes as f64);
            let cost = Cost { count: 1, sum: 0, mean, ..Cost::default() };
            let phase = Phase { name: "lookup".to_owned(), cost, share: Some(1.0) };
            let walk = Walk {
                lookups_expected: 1,
                lookups: Some(1),
                nodes_expected: Some(nodes),
                nodes: Some(nodes),
                cost: Some(8 * nodes),
            };
            OpenCell {
                variant,
                unit: Unit::Instructions,
                direction: Direction::FromHost,
                idle,
                services: 1,
                run: 1,
                opens: 1,
                ledger_opens: 1,
                phases: vec![phase],
                life: cost,
                bound: walk,
                connected: walk,
            }
        };
        let opens = [0, 100, 500, 1000].map(cell).into();
        let mut report = ExperimentReport { opens, ..ExperimentReport::default() };
        report.growth = growth::all(&report);
        report
    }

    fn fails(report: &ExperimentReport) -> usize {
        let checks = all(report);
        assert!(checks.len() >= 2, "{checks:?}");
        checks.iter().filter(|check| !check.holds).count()
    }

    #[test]
    fn a_list_grows_by_one() {
        assert_eq!(fails(&report(Variant::AfHypervList, |idle| u64::from(idle) + 1)), 0);
        // As if it were a hash: both slopes, and the cost.
        assert_eq!(fails(&report(Variant::AfHypervList, |idle| u64::from(idle / 251) + 1)), 3);
    }

    #[test]
    fn a_hash_does_not() {
        assert_eq!(fails(&report(Variant::AfHypervHash, |idle| u64::from(idle / 251) + 1)), 0);
        assert_eq!(fails(&report(Variant::AfHypervHash, |idle| u64::from(idle) + 1)), 2);
    }
}
