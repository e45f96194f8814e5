//! A distribution of durations.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A distribution of durations in nanoseconds; relative error of a percentile at most 6.25 %.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Histogram {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum_ns: u64,
    /// The smallest, exact.
    pub min_ns: Option<u64>,
    /// The largest, exact.
    pub max_ns: Option<u64>,
    /// Median.
    pub p50_ns: Option<u64>,
    /// 90th percentile.
    pub p90_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// 99.9th percentile.
    pub p999_ns: Option<u64>,
    /// Upper bound (inclusive) and count of each bucket that is not empty, in order; the counts are not cumulative.
    pub buckets: Vec<(u64, u64)>,
}

impl Histogram {
    /// The value that `parts` per thousand of all values do not exceed: the upper bound of its bucket, but never more than the largest
    /// value seen. `None` when there are none.
    pub fn percentile(&self, parts: u64) -> Option<u64> {
        // The rank of the value wanted, counted from one.
        let rank = (u128::from(self.count) * u128::from(parts)).div_ceil(1000).max(1);
        let mut below = 0_u128;
        for &(upper, n) in &self.buckets {
            below += u128::from(n);
            if below >= rank {
                return Some(self.max_ns.map_or(upper, |max| upper.min(max)));
            }
        }
        None
    }

    /// What has been added since `older`. The smallest and the largest of those are not known, only the bounds of their buckets.
    #[must_use]
    pub fn since(&self, older: &Self) -> Self {
        let before = |upper: u64| older.buckets.iter().find(|(u, _)| *u == upper).map_or(0, |(_, n)| *n);
        let buckets: Vec<_> = self
            .buckets
            .iter()
            .map(|(upper, n)| (*upper, n.saturating_sub(before(*upper))))
            .filter(|(_, n)| *n > 0)
            .collect();
        Self {
            count: buckets.iter().map(|(_, n)| n).sum(),
            sum_ns: self.sum_ns.saturating_sub(older.sum_ns),
            max_ns: buckets.last().map(|(upper, _)| self.max_ns.map_or(*upper, |max| max.min(*upper))),
            buckets,
            ..Self::default()
        }
        .with_percentiles()
    }

    /// Fills in the percentiles from the buckets.
    #[must_use]
    pub fn with_percentiles(mut self) -> Self {
        self.p50_ns = self.percentile(500);
        self.p90_ns = self.percentile(900);
        self.p99_ns = self.percentile(990);
        self.p999_ns = self.percentile(999);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_come_from_ranks() {
        let histogram = Histogram {
            count: 10,
            max_ns: Some(95),
            buckets: vec![(10, 5), (20, 4), (100, 1)],
            ..Histogram::default()
        }
        .with_percentiles();
        assert_eq!(histogram.p50_ns, Some(10));
        assert_eq!(histogram.p90_ns, Some(20));
        assert_eq!(histogram.p99_ns, Some(95), "never more than the largest value");
        assert_eq!(histogram.p999_ns, Some(95));
    }

    #[test]
    fn a_difference_is_a_histogram_of_its_own() {
        let of = |count, sum_ns, max, buckets| {
            Histogram { count, sum_ns, max_ns: Some(max), buckets, ..Histogram::default() }.with_percentiles()
        };
        let older = of(3, 300, 120, vec![(100, 2), (128, 1)]);
        let newer = of(6, 700, 190, vec![(100, 2), (128, 2), (192, 2)]);
        let difference = newer.since(&older);
        assert_eq!((difference.count, difference.sum_ns), (3, 400));
        assert_eq!(difference.buckets, [(128, 1), (192, 2)]);
        assert_eq!((difference.p50_ns, difference.max_ns), (Some(190), Some(190)));
        assert_eq!(newer.since(&newer).p50_ns, None);
    }

    #[test]
    fn an_empty_histogram_has_no_percentiles() {
        assert_eq!(Histogram::default().with_percentiles(), Histogram::default());
    }
}
