//! What theory and the laboratory predict, held against what the sockets show.

use super::{Check, Direction, ExperimentReport, Growth, Line, Measure, Unit, Variant};

/// How far a slope of nodes may be from theory: their number is exact, and the hash's chains are not all of the same length.
const NODES: f64 = 0.004;
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
            for variant in Variant::ALL {
                let Some(growth) = slope(variant, measure) else { continue };
                let (expected, most) = match variant {
                    Variant::AfHypervList => (1.0, 1.0),
                    Variant::AfHypervPointer if measure == Measure::ConnectedNodes => (0.0, 0.0),
                    // One chain of 251, all of which grow alike.
                    _ => (0.0, 1.0 / 251.0),
                };
                checks.push(Check {
                    expected: format!(
                        "{}: sockets compared to find a {name} one grow by {} for each idle connection ({unit:?})",
                        variant.label(),
                        if expected == most { format!("{expected}") } else { "1/251 at most".to_owned() },
                    ),
                    found: figures(growth),
                    holds: growth.per_socket >= expected - NODES && growth.per_socket <= most + NODES,
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
                    "{}: for each idle connection the lookup of an open grows by less than 5 % of the list's",
                    variant.label()
                ),
                found: figures(growth),
                holds: growth.per_socket.abs() < PART * list.per_socket,
            });
        }
    }
    checks
}

fn figures(growth: &Growth) -> String {
    format!(
        "{:.4} ± {:.4} for each, over {:.1} ± {:.1}, through {} cells",
        growth.per_socket, growth.per_socket_error, growth.constant, growth.constant_error, growth.points
    )
}
