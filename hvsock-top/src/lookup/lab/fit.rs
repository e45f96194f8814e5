//! How the cost grows: a straight line and a power law through the median times, and the shape by the nodes, which carry no noise.

use super::{Cache, Cell, Fit, Kind, Shape, Structure};

/// A straight line through points, and how well it is known.
#[derive(Clone, Copy, Debug)]
pub(in crate::lookup) struct Line {
    /// Where it begins.
    pub(in crate::lookup) constant: f64,
    /// Its standard error.
    pub(in crate::lookup) constant_error: f64,
    /// How it grows.
    pub(in crate::lookup) slope: f64,
    /// Its standard error.
    pub(in crate::lookup) slope_error: f64,
}

/// Least squares with weights: points are `(x, y, weight)`. `None` with fewer than three points, or all at one place. The errors are those of the points about the line.
pub(in crate::lookup) fn line(points: &[(f64, f64, f64)]) -> Option<Line> {
    if points.len() < 3 {
        return None;
    }
    let sum = |of: &dyn Fn(&(f64, f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
    let (w, wx, wy) = (sum(&|p| p.2), sum(&|p| p.2 * p.0), sum(&|p| p.2 * p.1));
    let (wxx, wxy) = (sum(&|p| p.2 * p.0 * p.0), sum(&|p| p.2 * p.0 * p.1));
    let determinant = w * wxx - wx * wx;
    if determinant <= f64::EPSILON * w * wxx {
        return None;
    }
    let slope = (w * wxy - wx * wy) / determinant;
    let constant = (wxx * wy - wx * wxy) / determinant;
    let residual = sum(&|p| p.2 * (p.1 - constant - slope * p.0).powi(2)) / (points.len() - 2) as f64;
    Some(Line {
        constant,
        constant_error: (residual * wxx / determinant).sqrt(),
        slope,
        slope_error: (residual * w / determinant).sqrt(),
    })
}

/// Times below this are noise: a point there weighs as if it were so large, nanoseconds.
const NOISE_NS: f64 = 2.0;

/// The same for nodes: none is no less than half of one.
const NOISE_NODES: f64 = 0.5;

/// A size, the time per lookup, the nodes per lookup.
type Point = (f64, f64, f64);

/// The growth of every structure, kind and cache that has enough sizes.
pub(super) fn all(cells: &[Cell]) -> Vec<Fit> {
    let mut fits = Vec::new();
    for structure in Structure::ALL {
        for kind in Kind::ALL {
            for cache in Cache::ALL {
                let points: Vec<Point> = cells
                    .iter()
                    .filter(|c| c.structure == structure && c.kind == kind && c.cache == cache)
                    .map(|c| (f64::from(c.sockets), c.ns.median, c.nodes.mean))
                    .collect();
                fits.extend(of(&points, structure, kind, cache));
            }
        }
    }
    fits
}

fn of(points: &[Point], structure: Structure, kind: Kind, cache: Cache) -> Option<Fit> {
    // Errors of measurement are in proportion to what is measured.
    let weighed = |value: fn(&Point) -> f64, noise: f64| -> Vec<_> {
        points.iter().map(|p| (p.0, value(p), value(p).max(noise).powi(-2))).collect()
    };
    let nodes = line(&weighed(|p| p.2, NOISE_NODES))?;
    let line = line(&weighed(|p| p.1, NOISE_NS))?;
    let power = power(points);
    let largest = points.iter().map(|p| p.0).fold(0.0, f64::max);
    Some(Fit {
        structure,
        kind,
        cache,
        sizes: points.len() as u32,
        constant_ns: line.constant,
        constant_error_ns: line.constant_error,
        per_socket_ns: line.slope,
        per_socket_error_ns: line.slope_error,
        exponent: power.map(|p| p.slope),
        exponent_error: power.map(|p| p.slope_error),
        shape: shape(&nodes, largest, NOISE_NODES),
    })
}

/// `k` in `N^k`, over the upper half of the sizes, where the constant part matters least.
fn power(points: &[Point]) -> Option<Line> {
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let upper: Vec<_> = sorted[sorted.len() / 2..]
        .iter()
        .filter(|(_, ns, _)| *ns > 0.0)
        .map(|(n, ns, _)| (n.ln(), ns.ln(), 1.0))
        .collect();
    line(&upper)
}

/// What a line amounts to over the sizes looked at, `noise` being next to nothing.
pub(in crate::lookup) fn shape(line: &Line, largest: f64, noise: f64) -> Shape {
    let (growth, growth_error) = (line.slope * largest, line.slope_error * largest);
    let constant = line.constant.max(noise);
    if growth - 2.0 * growth_error > 0.0 {
        // More than nothing, for certain; but is it anything to speak of?
        if growth >= 2.0 * constant {
            Shape::Linear
        } else if growth >= constant / 4.0 {
            Shape::LinearSlow
        } else {
            Shape::Constant
        }
    } else if growth + 2.0 * growth_error < constant {
        Shape::Constant
    } else {
        Shape::Unclear
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 6] = [1.0, 16.0, 64.0, 256.0, 1024.0, 16_384.0];

    fn fit_of(ns: impl Fn(usize, f64) -> f64, nodes: impl Fn(f64) -> f64) -> Fit {
        let points: Vec<_> = SIZES.iter().enumerate().map(|(i, n)| (*n, ns(i, *n), nodes(*n))).collect();
        of(&points, Structure::ListByGuid, Kind::Hit, Cache::Warm).unwrap()
    }

    fn shape_of(nodes: impl Fn(f64) -> f64) -> Shape {
        fit_of(|_, _| 1.0, nodes).shape
    }

    /// Errors that alternate.
    fn wobble(i: usize) -> f64 {
        if i.is_multiple_of(2) { 1.05 } else { 0.95 }
    }

    #[test]
    fn a_line_is_found_with_its_error() {
        let fit = fit_of(|i, n| (5.0 + 2.0 * n) * wobble(i), |n| n);
        assert_eq!(fit.shape, Shape::Linear);
        assert!((fit.per_socket_ns - 2.0).abs() < 2.0 * fit.per_socket_error_ns, "{fit:?}");
        assert!(fit.per_socket_error_ns < 0.1, "{fit:?}");
        assert!((fit.exponent.unwrap() - 1.0).abs() < 0.1, "{fit:?}");
    }

    #[test]
    fn a_constant_is_found() {
        let fit = fit_of(|i, _| 20.0 * wobble(i), |_| 1.0);
        assert_eq!(fit.shape, Shape::Constant);
        assert!(fit.exponent.unwrap().abs() < 0.1, "{fit:?}");
        assert!((fit.constant_ns - 20.0).abs() < 3.0 * fit.constant_error_ns, "{fit:?}");
    }

    #[test]
    fn the_nodes_decide_on_the_shape() {
        // Time that grows because memory does is no longer walk.
        assert_eq!(fit_of(|_, n| 3.0 + n / 100.0, |_| 1.0).shape, Shape::Constant);
        assert_eq!(shape_of(|n| 1.0 + (n - 1.0) / 502.0), Shape::Linear);
        assert_eq!(shape_of(|n| 1.0 + n / 16_384.0), Shape::LinearSlow);
        assert_eq!(shape_of(|n| if n > 60.0 { 1.3 } else { 1.1 }), Shape::Constant);
    }

    #[test]
    fn two_points_make_no_fit() {
        let of = |points: &[Point]| of(points, Structure::Pointer, Kind::Hit, Cache::Warm);
        assert!(of(&[(1.0, 2.0, 1.0), (2.0, 3.0, 1.0)]).is_none());
        assert!(of(&[(1.0, 2.0, 1.0), (1.0, 3.0, 1.0), (1.0, 4.0, 1.0)]).is_none());
    }
}
