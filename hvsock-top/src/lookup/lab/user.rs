//! The same lookups in user space: compiled code that follows real pointers through the same nodes. It tells what of the kernel's numbers is due
//! to BPF, which finds a node by multiplying and checks every access.

use std::{hint::black_box, time::Instant};

use hvsock_common::{LabKey, LabNode, lab_bucket, lab_jhash};

use super::{Structure, memory::Memory, structures::Addresses};

/// What a batch came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    /// Nanoseconds from the first lookup's begin to the last one's end.
    pub(super) ns: f64,
    /// Nodes visited.
    pub(super) visited: u64,
    /// Lookups that found something.
    pub(super) found: u64,
}

/// Makes the lookups one after the other; none begins before the one before it has ended. `None`: everything but the walk.
pub(super) fn run(
    structure: Option<Structure>,
    memory: &Memory,
    addresses: &Addresses,
    keys: &[LabKey],
) -> Batch {
    let state = memory.state.read(0);
    let head = |link: hvsock_common::Link| link.address as *const LabNode;
    match structure {
        None => batch(keys, |key| (0, false, key.relid >> 31)),
        Some(Structure::ListByGuid) => batch(keys, |key| {
            // SAFETY: see `chain`.
            unsafe {
                chain(
                    head(state.bound),
                    |n| (*n).guid == key.guid,
                    |n| (*n).guid_nil as u32,
                    |n| (*n).bound.address,
                )
            }
        }),
        Some(Structure::ListByChannel) => batch(keys, |key| {
            // SAFETY: see `chain`.
            unsafe {
                chain(
                    head(state.connected),
                    |n| (*n).channel == key.channel,
                    |n| (*n).channel_nil as u32,
                    |n| (*n).connected.address,
                )
            }
        }),
        Some(Structure::Hash251) => batch(keys, |key| {
            let first = memory.heads.at(lab_bucket(key.port));
            // SAFETY: a head of the table; see `chain`.
            unsafe {
                chain(head(*first), |n| (*n).port == key.port, |n| (*n).port_nil, |n| (*n).bucket.address)
            }
        }),
        Some(Structure::HashGrowing) => batch(keys, |key| {
            let first = addresses.grown[(lab_jhash(key.port) & state.mask) as usize];
            // SAFETY: see `chain`.
            unsafe { chain(first, |n| (*n).port == key.port, |n| (*n).port_nil, |n| (*n).grown.address) }
        }),
        Some(Structure::Pointer) => batch(keys, |key| {
            let node = addresses.pointers[key.relid as usize];
            if node.is_null() {
                return (0, false, node as u32);
            }
            // SAFETY: not null, so the address of a node.
            unsafe { (1, (*node).channel == key.channel, (*node).channel_nil as u32) }
        }),
    }
}

/// Follows a chain: nodes visited, whether it was found, and a zero from where it ended.
///
/// # Safety
/// Every address in the chain is that of a node, or zero; `structures::build` writes no other.
#[inline(always)]
unsafe fn chain(
    mut node: *const LabNode,
    is_it: impl Fn(*const LabNode) -> bool,
    nil: impl Fn(*const LabNode) -> u32,
    next: impl Fn(*const LabNode) -> u64,
) -> (u64, bool, u32) {
    let mut visited = 0;
    while !node.is_null() {
        visited += 1;
        if is_it(node) {
            return (visited, true, nil(node));
        }
        node = next(node) as *const LabNode;
    }
    (visited, false, node as u32)
}

#[inline(always)]
fn batch(keys: &[LabKey], lookup: impl Fn(&LabKey) -> (u64, bool, u32)) -> Batch {
    let (mut cursor, mut visited, mut found) = (0usize, 0, 0);
    let begin = Instant::now();
    // Ends after the last key: a lookup adds one and a zero.
    while let Some(key) = keys.get(black_box(cursor)) {
        let (nodes, hit, nil) = lookup(key);
        visited += nodes;
        found += u64::from(hit);
        cursor += 1 + nil as usize;
    }
    let ns = black_box(begin).elapsed().as_nanos() as f64;
    Batch { ns, visited, found }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Kind,
            population::{Population, Random},
            structures,
            theory::Theory,
        },
        *,
    };

    #[test]
    fn walks_visit_what_theory_says() {
        let mut random = Random::new(5);
        let mut memory = Memory::plain().unwrap();
        for count in [1, 2, 100, 1500] {
            let population = Population::new(count, &mut random);
            let addresses = structures::build(&mut memory, &population);
            for structure in Structure::ALL {
                let theory = Theory::new(structure, &population);
                for kind in Kind::ALL {
                    let lookups: Vec<_> = (0..50).map(|_| theory.draw(kind, &mut random)).collect();
                    let keys: Vec<_> = lookups.iter().map(|lookup| lookup.key).collect();
                    let batch = run(Some(structure), &memory, &addresses, &keys);
                    let expected: u64 = lookups.iter().map(|lookup| u64::from(lookup.nodes)).sum();
                    assert_eq!(batch.visited, expected, "{structure:?} {kind:?} {count}");
                    assert_eq!(batch.found, if kind == Kind::Miss { 0 } else { 50 });
                }
            }
        }
    }
}
