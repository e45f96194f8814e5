//! Our log-linear histograms as Prometheus' classic and native ones.
//!
//! What a bucket of ours maps to depends on the bucket alone, so that no count ever moves and no series goes back.

use super::family::seconds;
use crate::model::Histogram;

/// Upper bounds of the classic buckets in nanoseconds; the last, +Inf, goes without saying. They never change with the data.
pub(super) const BOUNDS_NS: &[u64] = &[
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Native buckets: 2^3 to each power of two, each 9.05 % wider than the one before. Our own are at most 6.25 % wide.
pub(super) const SCHEMA: i32 = 3;

/// Values no larger count as zero: the usual threshold, 2^-128. Only a duration of 0 ns is that short.
pub(super) const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39;

/// Bucket numbers of our histograms end here: the last is open, and stands for its lower end.
const LAST_NS: u64 = 1 << 40;

/// Upper bounds in seconds and cumulative counts; the last bound is infinite. A value less than 6.25 % below a bound may be counted
/// with the next one: a bucket of ours that reaches across a bound counts as above it.
pub(super) fn classic(histogram: &Histogram) -> Vec<(f64, u64)> {
    let up_to =
        |bound: u64| histogram.buckets.iter().take_while(|(le, _)| *le <= bound).map(|(_, n)| n).sum();
    let finite = BOUNDS_NS.iter().map(|bound| (seconds(*bound), up_to(*bound)));
    finite.chain([(f64::INFINITY, total(histogram))]).collect()
}

/// All of them. The sum over the buckets rather than the count beside them, which another CPU may have raised meanwhile: both formats
/// demand that they be the same.
pub(super) fn total(histogram: &Histogram) -> u64 {
    histogram.buckets.iter().map(|(_, n)| n).sum()
}

/// A native histogram.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Native {
    /// Values of 0 ns.
    pub(super) zero: u64,
    /// Runs of consecutive buckets: how many are left out before (the first: its number), and how many there are.
    pub(super) spans: Vec<(i32, u32)>,
    /// Counts, each as the difference from the one before.
    pub(super) deltas: Vec<i64>,
}

/// Each bucket of ours counts where its middle lies: a value is off by 3.1 % at most, on top of the native bucket's own width.
pub(super) fn native(histogram: &Histogram) -> Native {
    let mut native = Native::default();
    let mut counts: Vec<(i32, u64)> = Vec::new();
    for &(le, n) in &histogram.buckets {
        if le == 0 {
            native.zero += n;
            continue;
        }
        let index = index_of(middle(le));
        match counts.last_mut() {
            Some((last, count)) if *last == index => *count += n,
            _ => counts.push((index, n)),
        }
    }
    let mut before = 0;
    let mut next = None;
    for (index, count) in counts {
        match native.spans.last_mut() {
            Some((_, length)) if next == Some(index) => *length += 1,
            _ => native.spans.push((index - next.unwrap_or(0), 1)),
        }
        next = Some(index + 1);
        native.deltas.push(count as i64 - before);
        before = count as i64;
    }
    if native.spans.is_empty() {
        // How a native histogram without values is told from a classic one.
        native.spans.push((0, 0));
    }
    native
}

/// The middle of the bucket whose last value is `le`: below 16 each value has one, above there are 16 to each power of two.
fn middle(le: u64) -> f64 {
    if le >= LAST_NS {
        return LAST_NS as f64;
    }
    let width = 1u64 << le.max(1).ilog2().saturating_sub(4);
    le as f64 - (width - 1) as f64 / 2.0
}

/// The native bucket that holds so many nanoseconds: number i ends, inclusively, at 2^(i / 2^SCHEMA) seconds.
fn index_of(ns: f64) -> i32 {
    ((ns / 1e9).log2() * f64::from(1 << SCHEMA)).ceil() as i32
}

#[cfg(test)]
mod tests {
    use hvsock_common::{BUCKETS, bucket_bounds};

    use super::*;

    fn of(buckets: &[(u64, u64)]) -> Histogram {
        Histogram {
            buckets: buckets.to_vec(),
            count: buckets.iter().map(|b| b.1).sum(),
            ..Histogram::default()
        }
    }

    #[test]
    fn classic_buckets_are_cumulative_and_always_the_same() {
        let none = classic(&of(&[]));
        let some = classic(&of(&[(0, 2), (991, 3), (1023, 4), (u64::MAX - 1, 5)]));
        assert_eq!(
            none.iter().map(|b| b.0).collect::<Vec<_>>(),
            some.iter().map(|b| b.0).collect::<Vec<_>>()
        );
        assert_eq!(some[0], (1e-6, 5), "992..1023 ns reaches across 1 µs");
        assert_eq!(some[1], (2.5e-6, 9));
        assert_eq!(some[BOUNDS_NS.len()], (f64::INFINITY, 14));
        assert!(BOUNDS_NS.is_sorted());
    }

    /// Upper bounds and counts, from what the format holds.
    fn decode(native: &Native) -> Vec<(f64, i64)> {
        let (mut index, mut count, mut deltas) = (0, 0, native.deltas.iter());
        let mut all = Vec::new();
        for (skip, length) in &native.spans {
            index += skip;
            for _ in 0..*length {
                count += deltas.next().unwrap();
                all.push((f64::from(index) / f64::from(1 << SCHEMA), count));
                index += 1;
            }
        }
        assert!(deltas.next().is_none());
        all.into_iter().map(|(power, n)| (power.exp2() * 1e9, n)).collect()
    }

    #[test]
    fn native_buckets_hold_what_ours_hold() {
        // The largest value that each bucket counts: what the Snapshot tells.
        for index in 1..BUCKETS - 1 {
            let (low, high) = bucket_bounds(index);
            let told = decode(&native(&of(&[(high - 1, 7)])));
            let [(end, 7)] = told[..] else { panic!("{told:?}") };
            let begin = end / 2f64.powf(0.125);
            // Half of ours on either side, and what rounding does to the smallest.
            let slack = 1.0 + (high - 1 - low) as f64 / 2.0 / low as f64 + 1e-9;
            assert!(
                begin <= high as f64 * slack && low as f64 <= end * slack,
                "{low}..{high}: {begin}..{end}"
            );
            assert!(slack < 1.0313, "{slack}");
        }
    }

    #[test]
    fn the_middle_is_in_the_middle() {
        for index in 0..BUCKETS - 1 {
            let (low, high) = bucket_bounds(index);
            assert_eq!(
                middle(high - 1).to_bits(),
                ((low + high - 1) as f64 / 2.0).to_bits(),
                "{low}..{high}"
            );
        }
    }

    #[test]
    fn native_spans_and_deltas_add_up() {
        let all: Vec<(u64, u64)> =
            (0..BUCKETS).map(|i| (bucket_bounds(i).1.saturating_sub(1), i as u64 + 1)).collect();
        for some in [&all[..], &all[40..80], &[all[3], all[300], all[301], all[BUCKETS - 1]]] {
            let histogram = of(some);
            let told = native(&histogram);
            let sum: i64 = decode(&told).iter().map(|b| b.1).sum();
            assert_eq!(sum as u64 + told.zero, total(&histogram));
            assert!(decode(&told).is_sorted_by(|a, b| a.0 < b.0));
        }
        assert_eq!(native(&of(&[])), Native { spans: vec![(0, 0)], ..Native::default() });
        assert_eq!(native(&of(&[(0, 9)])).zero, 9);
    }
}
