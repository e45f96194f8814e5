//! Emptying the processor's caches of a structure.

use std::mem::offset_of;

use hvsock_common::LabNode;

use super::{memory::Memory, population::Population, structures::Addresses};

/// How [`Emptier::empty`] does it here.
pub(super) const fn by() -> &'static str {
    if cfg!(target_arch = "x86_64") { "clflush" } else { "eviction" }
}

/// Empties caches.
pub(super) struct Emptier {
    /// Memory to read, where single lines cannot be thrown out.
    #[cfg(not(target_arch = "x86_64"))]
    other: Vec<u64>,
}

impl Emptier {
    pub(super) fn new() -> Self {
        Self {
            // More than the caches of the machines this is made for.
            #[cfg(not(target_arch = "x86_64"))]
            other: vec![1; (64 << 20) / 8],
        }
    }

    /// Throws every line that a lookup may touch out of all caches: of the nodes those with keys and links, and all heads. The pages stay in the
    /// TLB. What a line holds is thrown out wherever it is mapped, so that the kernel finds it gone too.
    #[cfg(target_arch = "x86_64")]
    #[expect(clippy::unused_self, reason = "other processors need it")]
    pub(super) fn empty(&self, memory: &Memory, population: &Population, _addresses: &Addresses) {
        use std::arch::x86_64::{_mm_clflush, _mm_mfence};
        const LINES: [usize; 3] = [
            offset_of!(LabNode, port) / 64 * 64,
            offset_of!(LabNode, bound) / 64 * 64,
            offset_of!(LabNode, channel) / 64 * 64,
        ];
        let flush = |address: *const u8| {
            // SAFETY: an address within our mappings; the instruction changes nothing that can be read.
            unsafe { _mm_clflush(address) };
        };
        for slot in &population.slots {
            let node = memory.nodes.at(*slot).cast::<u8>();
            for line in LINES {
                // SAFETY: within the node.
                flush(unsafe { node.add(line) });
            }
        }
        for key in &population.sockets {
            flush(memory.pointers.at(key.relid).cast());
        }
        (0..hvsock_common::LAB_BUCKETS).for_each(|bucket| flush(memory.heads.at(bucket).cast()));
        (0..=memory.state.read(0).mask).for_each(|bucket| flush(memory.grown.at(bucket).cast()));
        // SAFETY: waits until the lines are gone.
        unsafe { _mm_mfence() };
    }

    /// Reads so much other memory that nothing of the structure is left in the caches.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn empty(&self, _memory: &Memory, _population: &Population, _addresses: &Addresses) {
        let sum = self.other.iter().step_by(4).fold(0, |sum: u64, word| sum.wrapping_add(*word));
        std::hint::black_box(sum);
    }
}
