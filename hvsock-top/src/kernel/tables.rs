//! Reads how many sockets are in each bucket of the tables in which sockets are looked up: with a program that is never attached, without a
//! lock, so what comes and goes meanwhile may be in or not.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData},
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use hvsock_common::{Walk, WalkEnd};

use super::{Family, Mapped, Symbols, sys::raise_memlock, verdict::words};

/// The program, built by `cargo xtask build-ebpf`.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/tables.bpf.o");

/// Buckets that are searched, of each table (`VSOCK_HASH_SIZE`, net/vmw_vsock/af_vsock.c, the same in every version; AF_HYPERV has as many, and
/// uses one of them for its list).
pub const BUCKETS: usize = 251;

/// How often a chain is walked again that changed meanwhile.
const TRIES: u32 = 5;

/// Runs in the same chain at most: 65,536 sockets, or a walk that has lost its way and would never end.
const RUNS: u32 = 256;

/// A family's tables, by the names of the kernel's variables.
struct Names {
    bound: &'static str,
    connected: &'static str,
    /// The module that they are in, where others may have such names.
    module: Option<&'static str>,
    /// Whether the bound sockets' table has one bucket more, for those that are not bound.
    unbound: bool,
}

const fn names(family: Family) -> Names {
    match family {
        Family::Vsock => Names {
            bound: "vsock_bind_table",
            connected: "vsock_connected_table",
            module: None,
            unbound: true,
        },
        Family::AfHyperv => {
            Names { bound: "bound", connected: "connected", module: Some("af_hyperv"), unbound: false }
        }
    }
}

/// Whether this is the name of a table of some family.
pub(super) fn wants(symbol: &str) -> bool {
    [Family::Vsock, Family::AfHyperv].map(names).iter().any(|n| n.bound == symbol || n.connected == symbol)
}

/// Why the tables cannot be read, in words.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unread {
    /// Where they lie is not known.
    #[error(
        "{0} is not in /proc/kallsyms with its address: it takes CAP_SYSLOG, kernel.kptr_restrict below 2, and CONFIG_KALLSYMS_ALL"
    )]
    NoAddress(&'static str),
    /// The kernel refuses or fails.
    #[error("{0}")]
    Kernel(String),
}

impl Unread {
    fn of(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Kernel(words(error))
    }
}

/// Where the tables of the bound and of the connected sockets lie.
pub(super) fn addresses(symbols: &Symbols, family: Family) -> Result<(u64, u64), Unread> {
    let names = names(family);
    let address = |name| {
        let found = match names.module {
            None => symbols.variable(name),
            Some(module) => symbols.variable_of(name, module),
        };
        found.ok_or(Unread::NoAddress(name))
    };
    Ok((address(names.bound)?, address(names.connected)?))
}

/// How many sockets are in each bucket; `None`: it kept changing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lengths {
    /// Of the bound sockets, [`BUCKETS`].
    pub bound: Vec<Option<u64>>,
    /// Of the sockets that are not bound; `None` too where the family keeps none.
    pub unbound: Option<u64>,
    /// Of the connected sockets, [`BUCKETS`].
    pub connected: Vec<Option<u64>>,
}

/// Where the tables are, and the loaded program.
pub struct Tables {
    ebpf: Ebpf,
    walk: Mapped<Walk>,
    bound: u64,
    unbound: bool,
    connected: u64,
}

impl Tables {
    /// Loads the program. Addresses are those of `symbols`, and good until the module is unloaded.
    pub(super) fn load(symbols: &Symbols, family: Family) -> Result<Self, Unread> {
        let (bound, connected) = addresses(symbols, family)?;
        raise_memlock();
        let mut ebpf = EbpfLoader::new().btf(None).load(OBJECT).map_err(|error| Unread::of(&error))?;
        let program: &mut RawTracePoint = ebpf
            .program_mut("walk_chains")
            .ok_or_else(|| Unread::Kernel("the object has no program".into()))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| Unread::of(&error))?;
        program.load().map_err(|error| Unread::of(&error))?;
        let map: &MapData = match ebpf.map("WALK") {
            Some(Map::Array(map)) => map,
            _ => return Err(Unread::Kernel("the object has no map".into())),
        };
        let walk = Mapped::new(map, 1).map_err(|error| Unread::of(&error))?;
        Ok(Self { ebpf, walk, bound, unbound: names(family).unbound, connected })
    }

    /// Reads both tables. Where they lie must still be so: the caller makes sure that the module is the one whose symbols were read.
    pub fn read(&self) -> Result<Lengths, Unread> {
        let mut bound = self.table(self.bound, BUCKETS + usize::from(self.unbound))?;
        let unbound = bound.split_off(BUCKETS).pop().flatten();
        Ok(Lengths { bound, unbound, connected: self.table(self.connected, BUCKETS)? })
    }

    /// Sockets in each bucket of one table.
    fn table(&self, table: u64, buckets: usize) -> Result<Vec<Option<u64>>, Unread> {
        walk_all(buckets, |from| self.run(table, buckets, from))
    }

    fn run(&self, table: u64, buckets: usize, from: Place) -> Result<Walk, Unread> {
        let program: &RawTracePoint = self
            .ebpf
            .program("walk_chains")
            .ok_or_else(|| Unread::Kernel("the object has no program".into()))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| Unread::of(&error))?;
        let mut options = RawTracePointRunOptions::new();
        options.args[..5].copy_from_slice(&[table, buckets as u64, from.bucket as u64, from.at, from.nodes]);
        program.test_run(options).map_err(|error| Unread::of(&error))?;
        Ok(self.walk.read(0))
    }
}

/// Where a run begins: in which chain, at which of its nodes (0: before the first), after how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Place {
    bucket: usize,
    at: u64,
    nodes: u64,
}

/// Goes through all buckets, a run at a time. A chain that changed is begun again, and given up after some tries.
fn walk_all<E>(buckets: usize, mut run: impl FnMut(Place) -> Result<Walk, E>) -> Result<Vec<Option<u64>>, E> {
    let mut lengths = Vec::with_capacity(buckets);
    let (mut from, mut tries, mut runs) = (Place::default(), 0, 0);
    while lengths.len() < buckets {
        let walk = run(from)?;
        let reached = (walk.bucket as usize).min(buckets);
        if reached > from.bucket {
            lengths.extend(walk.lengths[from.bucket..reached].iter().copied().map(Some));
            (tries, runs) = (0, 0);
        }
        runs += 1;
        from = Place { bucket: reached, at: walk.at, nodes: walk.nodes };
        if walk.end == WalkEnd::Lost as u64 || walk.end == WalkEnd::Faulted as u64 {
            tries += 1;
            from = Place { bucket: reached, ..Place::default() };
        }
        if tries == TRIES || runs == RUNS {
            lengths.push(None);
            from = Place { bucket: reached + 1, ..Place::default() };
            (tries, runs) = (0, 0);
        }
    }
    Ok(lengths)
}

#[cfg(test)]
mod tests {
    use hvsock_common::CHAINS;

    use super::*;

    /// A table of chains as long as `table` says, walked `steps` at a time. `lost`: a walk through this chain loses its way so many times.
    fn walked(table: &[u64], steps: u64, lost: Option<(usize, u32)>) -> (Vec<Option<u64>>, u32) {
        let (mut left, mut calls) = (lost, 0);
        let mut lengths = [0; CHAINS];
        let run = |from: Place| {
            calls += 1;
            let mut at = from;
            let mut end = WalkEnd::Under;
            for _ in 0..steps {
                if let Some((bucket, times @ 1..)) = left
                    && bucket == at.bucket
                    && at.nodes == 1
                {
                    left = Some((bucket, times - 1));
                    end = WalkEnd::Lost;
                    break;
                }
                if at.nodes < table[at.bucket] {
                    at.nodes += 1;
                    continue;
                }
                lengths[at.bucket] = at.nodes;
                at = Place { bucket: at.bucket + 1, ..Place::default() };
                if at.bucket == table.len() {
                    end = WalkEnd::Whole;
                    break;
                }
            }
            let Place { bucket, at, nodes } = at;
            Ok::<_, ()>(Walk { at, nodes, bucket: bucket as u64, end: end as u64, lengths })
        };
        (walk_all(table.len(), run).unwrap(), calls)
    }

    fn known(table: &[u64]) -> Vec<Option<u64>> {
        table.iter().copied().map(Some).collect()
    }

    #[test]
    fn chains_longer_than_a_run_are_walked_on() {
        let table = [0, 3, 0, 250, 1, 0];
        assert_eq!(walked(&table, 1024, None), (known(&table), 1));
        let (lengths, calls) = walked(&table, 7, None);
        assert_eq!((lengths, calls), (known(&table), (3 + 250 + 1 + 6_u32).div_ceil(7)));
    }

    #[test]
    fn a_chain_that_changes_is_begun_again_and_given_up_at_last() {
        let table = [2, 5, 1];
        assert_eq!(walked(&table, 100, Some((1, TRIES - 1))).0, known(&table));
        let (lengths, calls) = walked(&table, 100, Some((1, u32::MAX)));
        assert_eq!(lengths, [Some(2), None, Some(1)]);
        assert_eq!(calls, TRIES + 1);
        assert_eq!(walked(&table, 100, Some((2, u32::MAX))).0, [Some(2), Some(5), None]);
    }

    #[test]
    fn a_walk_that_never_ends_is_given_up() {
        let table = [1, u64::MAX, 4];
        let (lengths, calls) = walked(&table, 16, None);
        assert_eq!(lengths, [Some(1), None, Some(4)]);
        assert!(calls <= RUNS + 2, "{calls}");
    }

    #[test]
    fn each_familys_tables_are_looked_for() {
        for name in ["vsock_bind_table", "vsock_connected_table", "bound", "connected"] {
            assert!(wants(name), "{name}");
        }
        assert!(!wants("vsock_bind"));
    }
}
