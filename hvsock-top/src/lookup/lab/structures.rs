//! Builds the structures in memory: links for the programs, addresses for the walk in user space.

use hvsock_common::{LAB_END, LabNode, Link, lab_bucket, lab_jhash};

use super::{memory::Memory, population::Population, theory};

/// Heads of what has one pointer for a head, as user space follows them.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    /// By bucket of the hash that grows.
    pub(super) grown: Vec<*const LabNode>,
    /// By relid.
    pub(super) pointers: Vec<*const LabNode>,
}

/// Empties the memory and puts the population into it: every socket in front of its chains, in the order of the population.
pub(super) fn build(memory: &mut Memory, population: &Population) -> Addresses {
    memory.nodes.clear();
    memory.heads.clear();
    memory.grown.clear();
    memory.pointers.clear();
    let buckets = theory::grown_buckets(population.sockets.len() as u32);
    let mut addresses = Addresses {
        grown: vec![std::ptr::null(); buckets as usize],
        pointers: vec![std::ptr::null(); 2 * population.sockets.len()],
    };
    memory.state.change(0, |state| {
        *state = bytemuck::Zeroable::zeroed();
        state.mask = buckets - 1;
    });
    for (key, slot) in population.sockets.iter().zip(&population.slots) {
        let me = Link { next: slot + 1, pad: 0, address: memory.nodes.at(*slot) as u64 };
        let hash = lab_jhash(key.port) & (buckets - 1);
        let (mut bucket, mut bound, mut connected) = (me, me, me);
        memory.heads.change(lab_bucket(key.port), |head| std::mem::swap(head, &mut bucket));
        memory.state.change(0, |state| {
            std::mem::swap(&mut state.bound, &mut bound);
            std::mem::swap(&mut state.connected, &mut connected);
        });
        let mut first = u64::from(me.next);
        memory.grown.change(hash, |head| std::mem::swap(head, &mut first));
        let address = std::mem::replace(&mut addresses.grown[hash as usize], me.address as *const LabNode);
        let grown = Link { next: first as u32, pad: 0, address: address as u64 };
        memory.pointers.change(key.relid, |pointer| *pointer = u64::from(me.next));
        addresses.pointers[key.relid as usize] = me.address as *const LabNode;
        memory.nodes.change(*slot, |node| {
            (node.port, node.guid, node.channel) = (key.port, key.guid, key.channel);
            (node.bucket, node.grown, node.bound, node.connected) = (bucket, grown, bound, connected);
        });
    }
    debug_assert_eq!(LAB_END, 0, "cleared memory is empty structures");
    addresses
}
