//! The statistics of `diff`: when a difference is more than noise. Nothing here is random, so the same recordings always give the same
//! answer. docs/recording.md states the rules for users.

/// The chance of marking a metric that has not changed, were batches independent.
pub(super) const ALPHA: f64 = 0.001;
/// Fewer batches than this prove nothing at that level.
pub(super) const FEWEST: usize = 8;
/// Of all pairs of batches, so many more must point one way than the other (Cliff's delta).
pub(super) const DELTA: f64 = 0.33;
/// A smaller change of the mean is not worth a mark.
pub(super) const CHANGE: f64 = 0.05;
/// A smaller change of a percentile may come from the width of two buckets.
pub(super) const BUCKETS: f64 = 0.125;
/// Each percentile's interval holds it with 99 %.
const Z: f64 = 2.576;
/// No more batches than this: neighbours in time resemble each other, and their means do so less.
const MOST: usize = 64;

/// Samples in the order of time, as the means of batches of equal length; of bounded size, however many there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Batches {
    whole: Vec<Sum>,
    open: Sum,
    /// Samples to a batch.
    length: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f64,
    weight: f64,
    samples: u32,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.value += other.value;
        self.weight += other.weight;
        self.samples += other.samples;
    }
}

impl Batches {
    /// Adds a sample. The mean of a batch is the sum of its values by the sum of its weights.
    pub(super) fn push(&mut self, value: f64, weight: f64) {
        self.length = self.length.max(1);
        self.open.add(Sum { value, weight, samples: 1 });
        if self.open.samples < self.length {
            return;
        }
        self.whole.push(std::mem::take(&mut self.open));
        if self.whole.len() == MOST {
            self.length *= 2;
            self.whole = self
                .whole
                .chunks(2)
                .map(|pair| {
                    let mut sum = Sum::default();
                    for part in pair {
                        sum.add(*part);
                    }
                    sum
                })
                .collect();
        }
    }

    /// The means of whole batches.
    pub(super) fn means(&self) -> Vec<f64> {
        self.whole.iter().filter(|s| s.weight > 0.0).map(|s| s.value / s.weight).collect()
    }

    /// The mean of all samples, and the sum of their values; `None` when there are none.
    pub(super) fn total(&self) -> Option<(f64, f64)> {
        let mut all = self.open;
        for part in &self.whole {
            all.add(*part);
        }
        (all.weight > 0.0).then(|| (all.value / all.weight, all.value))
    }
}

/// How two sets of samples differ.
#[derive(Clone, Copy, Debug)]
pub(super) struct Difference {
    /// Mann and Whitney's two-sided p: how likely samples from one distribution differ at least so.
    pub(super) p: f64,
    /// Cliff's delta: of all pairs, the share in which b is larger less the share in which it is smaller.
    pub(super) delta: f64,
}

/// Mann and Whitney's U test, normal approximation with corrections for ties and continuity.
pub(super) fn mann_whitney(a: &[f64], b: &[f64]) -> Difference {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let mut all: Vec<(f64, bool)> =
        a.iter().map(|x| (*x, false)).chain(b.iter().map(|x| (*x, true))).collect();
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut rank_sum, mut ties, mut at) = (0.0, 0.0, 0);
    while at < all.len() {
        let same = all[at..].iter().take_while(|x| x.0 <= all[at].0).count();
        let count = same as f64;
        // All of one value share the mean of their ranks, which are counted from one.
        let rank = at as f64 + f64::midpoint(count, 1.0);
        rank_sum += rank * all[at..at + same].iter().filter(|x| x.1).count() as f64;
        ties += count.powi(3) - count;
        at += same;
    }
    let pairs = rank_sum - m * (m + 1.0) / 2.0;
    let delta = 2.0 * pairs / (n * m) - 1.0;
    let total = n + m;
    let variance = n * m / 12.0 * ((total + 1.0) - ties / (total * (total - 1.0)));
    if variance <= 0.0 || !variance.is_finite() {
        return Difference { p: 1.0, delta: 0.0 };
    }
    let score = ((pairs - n * m / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Difference { p: erfc(score / std::f64::consts::SQRT_2), delta }
}

/// The complementary error function, to 1.5e-7 (Abramowitz and Stegun 7.1.26), for positive numbers.
fn erfc(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let polynomial = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592]
        .iter()
        .fold(0.0, |sum, c| (sum + c) * t);
    polynomial * (-x * x).exp()
}

/// The ranks, counted from one, between which the value that `parts` per thousand of `count` values do not exceed lies with 99 %,
/// whatever the distribution. `None`: there are too few values to tell.
pub(super) fn ranks(count: u64, parts: u64) -> Option<(u64, u64)> {
    let n = count as f64;
    let p = parts as f64 / 1000.0;
    let middle = n * p;
    let reach = Z * (n * p * (1.0 - p)).sqrt();
    let (low, high) = ((middle - reach).floor(), (middle + reach).ceil() + 1.0);
    (low >= 1.0 && high <= n).then_some((low as u64, high as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_agrees_with_one_done_by_hand() {
        // By hand: b is larger in 79 of 100 pairs; z = (79 - 50 - 0.5) / sqrt(175) = 2.154.
        let a: Vec<f64> = (1..=10).map(f64::from).collect();
        let b: Vec<f64> = (4..=13).map(|x| f64::from(x) + 0.5).collect();
        let found = mann_whitney(&a, &b);
        assert!((found.delta - 0.58).abs() < 1e-9, "{found:?}");
        assert!((found.p - 0.031_2).abs() < 1e-4, "{found:?}");
        assert!((mann_whitney(&b, &a).p - found.p).abs() < 1e-12);
        assert!((mann_whitney(&b, &a).delta + found.delta).abs() < 1e-12);
    }

    #[test]
    fn the_error_function_is_right() {
        for (x, value) in
            [(0.0, 1.0), (0.5, 0.479_500_12), (1.0, 0.157_299_21), (2.0, 0.004_677_73), (3.0, 0.000_022_09)]
        {
            assert!((erfc(x) - value).abs() < 2e-7, "{x}: {}", erfc(x));
        }
    }

    #[test]
    fn ties_alone_are_no_difference() {
        assert!((mann_whitney(&[0.0; 20], &[0.0; 30]).p - 1.0).abs() < f64::EPSILON);
        assert!(mann_whitney(&[0.0; 8], &[1.0; 8]).p < ALPHA, "eight against eight can be told apart");
        assert!(mann_whitney(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0]).p > ALPHA);
    }

    /// Uniform numbers below one.
    fn numbers(mut seed: u64) -> impl FnMut() -> f64 {
        move || {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = seed;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
        }
    }

    fn batches(seed: u64, count: usize, memory: f64) -> Vec<f64> {
        let mut number = numbers(seed);
        let mut batches = Batches::default();
        let mut state = 0.0;
        for _ in 0..count {
            state = memory * state + number() - 0.5;
            batches.push(100.0 + 20.0 * state, 1.0);
        }
        batches.means()
    }

    /// How many of 1,000 pairs of recordings of the same load would be marked.
    fn marked(count: usize, memory: f64) -> usize {
        let differ = |n: &u64| {
            let found = mann_whitney(&batches(2 * n, count, memory), &batches(2 * n + 1, count, memory));
            found.p < ALPHA && found.delta.abs() >= DELTA
        };
        (0..1000).filter(differ).count()
    }

    #[test]
    fn the_same_load_is_rarely_marked() {
        assert!(marked(60, 0.0) <= 4, "{}", marked(60, 0.0));
        assert!(marked(600, 0.0) <= 4, "{}", marked(600, 0.0));
        // A load whose every second resembles the one before, over ten minutes.
        assert!(marked(600, 0.5) <= 10, "{}", marked(600, 0.5));
    }

    #[test]
    fn batches_are_few_and_keep_the_mean() {
        let mut batches = Batches::default();
        for n in 0..10_000 {
            batches.push(f64::from(n), 2.0);
        }
        let means = batches.means();
        assert!((MOST / 2..MOST).contains(&means.len()), "{}", means.len());
        assert!((means[0] - 63.75).abs() < 1e-9, "256 samples to a batch: {}", means[0]);
        let (mean, sum) = batches.total().unwrap();
        assert!((mean - 4999.5 / 2.0).abs() < 1e-9 && (sum - 49_995_000.0).abs() < 1e-3);
        assert!(Batches::default().total().is_none());
    }

    #[test]
    fn percentiles_of_few_values_are_unknown() {
        assert_eq!(ranks(0, 500), None);
        assert_eq!(ranks(5, 500), None);
        assert_eq!(ranks(100, 500), Some((37, 64)));
        assert_eq!(ranks(100, 990), None);
        assert!(ranks(1000, 990).is_some());
    }
}
