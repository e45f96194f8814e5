//! The sockets, and what is looked for: all from a seed, so that a run can be repeated.

use std::collections::HashSet;

use hvsock_common::{LAB_NODES, LAB_RELIDS, LabKey};

/// The last three groups of every GUID that stands for a vsock port (`HVSOCK` template: `…-facb-11e6-bd58-64006a7986d3`), as the two words
/// that a comparison loads.
const TEMPLATE: [u64; 2] = [0x11e6_facb_0000_0000, 0xd386_796a_0064_58bd];

/// Where the kernel keeps objects like channels.
const KERNEL: u64 = 0xffff_8880_0000_0000;

/// Random numbers: `SplitMix64` (Steele, Lea and Flood, 2014).
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`, which is at most 2^32: the bias is below one in 2^32.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        ((u128::from(self.word()) * u128::from(bound)) >> 64) as u32
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u32 + 1) as usize);
        }
    }
}

/// Sockets in the order in which they are inserted, and as many others that are not.
#[derive(Clone, Debug)]
pub(super) struct Population {
    /// The sockets.
    pub(super) sockets: Vec<LabKey>,
    /// Where each lies in memory.
    pub(super) slots: Vec<u32>,
    /// What is not there.
    pub(super) absent: Vec<LabKey>,
}

impl Population {
    /// `count` sockets, scattered over the whole memory.
    pub(super) fn new(count: u32, random: &mut Random) -> Self {
        assert!((1..=LAB_NODES).contains(&count));
        let mut slots: Vec<u32> = (0..LAB_NODES).collect();
        random.shuffle(&mut slots);
        slots.truncate(count as usize);
        // Hosts give out the lowest relids; which socket has which is chance after some coming and going.
        let mut relids: Vec<u32> = (0..count).collect();
        random.shuffle(&mut relids);
        relids.extend(count..2 * count);
        debug_assert!(relids.iter().all(|relid| *relid < LAB_RELIDS));
        let mut ports = HashSet::new();
        let mut channels = HashSet::new();
        let mut keys = relids.into_iter().map(|relid| {
            let port = distinct(&mut ports, || random.word() as u32);
            // Objects of 1 KiB somewhere in 64 GiB.
            let channel = distinct(&mut channels, || KERNEL + u64::from(random.below(1 << 26)) * 1024);
            LabKey { guid: [TEMPLATE[0] | u64::from(port), TEMPLATE[1]], channel, port, relid }
        });
        let sockets = keys.by_ref().take(count as usize).collect();
        let absent = keys.collect();
        Self { sockets, slots, absent }
    }
}

fn distinct<T: Copy + Eq + std::hash::Hash>(known: &mut HashSet<T>, mut draw: impl FnMut() -> T) -> T {
    loop {
        let drawn = draw();
        if known.insert(drawn) {
            return drawn;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_taken_once() {
        let population = Population::new(LAB_NODES, &mut Random::new(1));
        let all = || population.sockets.iter().chain(&population.absent);
        let count = all().count();
        assert_eq!(count, 2 * LAB_NODES as usize);
        assert_eq!(all().map(|k| k.port).collect::<HashSet<_>>().len(), count);
        assert_eq!(all().map(|k| k.guid).collect::<HashSet<_>>().len(), count);
        assert_eq!(all().map(|k| k.channel).collect::<HashSet<_>>().len(), count);
        assert_eq!(all().map(|k| k.relid).collect::<HashSet<_>>().len(), count);
        assert_eq!(population.slots.iter().collect::<HashSet<_>>().len(), LAB_NODES as usize);
    }

    #[test]
    fn the_seed_decides() {
        let of = |seed| Population::new(100, &mut Random::new(seed)).sockets;
        assert_eq!(of(7), of(7));
        assert_ne!(of(7), of(8));
    }

    #[test]
    fn numbers_below_a_bound_are_evenly_spread() {
        let mut random = Random::new(3);
        let mut counts = [0u32; 10];
        for _ in 0..10_000 {
            counts[random.below(10) as usize] += 1;
        }
        // Five standard deviations of a count of 1,000.
        assert!(counts.iter().all(|count| count.abs_diff(1000) < 150), "{counts:?}");
    }
}
