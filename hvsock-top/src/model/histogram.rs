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
        let rank = (self.count * parts).div_ceil(1000).max(1);
        let mut below = 0;
        for &(upper, n) in &self.buckets {
            below += n;
            if below >= rank {
                return Some(self.max_ns.map_or(upper, |max| upper.min(max)));
            }
        }
        None
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
    fn an_empty_histogram_has_no_percentiles() {
        assert_eq!(Histogram::default().with_percentiles(), Histogram::default());
    }
}
