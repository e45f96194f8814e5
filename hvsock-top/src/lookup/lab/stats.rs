//! Medians, quartiles, means.

use super::Spread;

/// Median, quartiles and extremes of `values`; zeroes when there are none.
pub(super) fn spread(values: &[f64]) -> Spread {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |part: f64| {
        let place = part * (sorted.len().saturating_sub(1)) as f64;
        let (low, high) = (place.floor() as usize, place.ceil() as usize);
        let (Some(a), Some(b)) = (sorted.get(low), sorted.get(high)) else { return 0.0 };
        a + (b - a) * place.fract()
    };
    Spread {
        median: at(0.5),
        mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
        p25: at(0.25),
        p75: at(0.75),
        min: at(0.0),
        max: at(1.0),
        rounds: values.len() as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_between_the_quartiles() {
        let spread = spread(&[4.0, 1.0, 3.0, 2.0, 5.0]);
        assert_eq!(
            (spread.min, spread.p25, spread.median, spread.p75, spread.max, spread.mean, spread.rounds),
            (1.0, 2.0, 3.0, 4.0, 5.0, 3.0, 5)
        );
        assert!((super::spread(&[1.0, 2.0]).median - 1.5).abs() < 1e-12);
        assert_eq!(super::spread(&[]).rounds, 0);
    }
}
