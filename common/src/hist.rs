//! Log-linear histograms with a bounded relative error.
//!
//! Values below 16 have a bucket each; above, every power of two is cut into 16 equal buckets, so a bucket's width is at most
//! 1/16 = 6.25 % of its lower bound. The index takes a shift and a mask; no division, no loop.

/// Each power of two is cut into `2^SUB_BITS` buckets.
pub const SUB_BITS: u32 = 4;
const SUB: usize = 1 << SUB_BITS;
/// Values at or above `2^MAX_BITS` ns (about 18 minutes) fall into the last bucket.
const MAX_BITS: u32 = 40;
/// Number of buckets.
pub const BUCKETS: usize = SUB + (MAX_BITS - SUB_BITS) as usize * SUB;

/// The bucket that counts `value`.
#[inline(always)]
pub const fn bucket_of(value: u64) -> usize {
    if value < SUB as u64 {
        return value as usize;
    }
    let top = value.ilog2();
    if top >= MAX_BITS {
        return BUCKETS - 1;
    }
    let octave = (top - SUB_BITS) as usize;
    let sub = (value >> (top - SUB_BITS)) as usize & (SUB - 1);
    SUB + octave * SUB + sub
}

/// The values bucket `index` counts: from the first, inclusive, to the second, exclusive. The last bucket has no upper bound but
/// [`u64::MAX`].
pub const fn bucket_bounds(index: usize) -> (u64, u64) {
    if index < SUB {
        return (index as u64, index as u64 + 1);
    }
    let octave = (index - SUB) / SUB;
    let sub = ((index - SUB) % SUB) as u64;
    let low = (SUB as u64 + sub) << octave;
    if index >= BUCKETS - 1 { (low, u64::MAX) } else { (low, low + (1 << octave)) }
}

/// Counts of durations, written by one hook on one CPU.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Histogram {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: u64,
    /// The bit-wise complement of the smallest, so that zeroed memory means "none yet".
    pub not_min: u64,
    /// The largest.
    pub max: u64,
    /// Counts by [`bucket_of`].
    pub buckets: [u64; BUCKETS],
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_contiguous_and_cover_everything() {
        let mut next = 0;
        for index in 0..BUCKETS {
            let (low, high) = bucket_bounds(index);
            assert_eq!(low, next, "bucket {index}");
            assert_eq!(bucket_of(low), index);
            if high != u64::MAX {
                assert_eq!(bucket_of(high - 1), index);
            }
            next = high;
        }
        assert_eq!(next, u64::MAX);
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn relative_error_is_bounded() {
        for index in SUB..BUCKETS - 1 {
            let (low, high) = bucket_bounds(index);
            assert!((high - low) * 16 <= low, "bucket {index}: {low}..{high}");
        }
    }
}
