//! Reads the chains of vsock's tables.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapData},
    programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use hvsock_common::{Chain, ChainEnd};

use super::{Table, Tables};
use crate::kernel::{Mapped, Symbols, raise_memlock, words};

/// The program, built by `cargo xtask build-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/tables.bpf.o");

/// Buckets of each table (`VSOCK_HASH_SIZE`, net/vmw_vsock/af_vsock.c, the same in every version).
const BUCKETS: u64 = 251;

/// Bytes of a list head.
const HEAD: u64 = 16;

const BIND: &str = "vsock_bind_table";
const CONNECTED: &str = "vsock_connected_table";

/// How often a chain is walked again that changed meanwhile.
const TRIES: u32 = 5;

/// Runs for one chain at most: a walk that has lost its way may never end.
const RUNS: u32 = 1024;

/// Why the tables cannot be read, in words.
#[derive(Debug, thiserror::Error)]
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

/// Reads both tables, a chain at a time, without a lock: what comes and goes meanwhile may be in or not.
pub fn read() -> Result<Tables, Unread> {
    let symbols =
        Symbols::from_kernel(|name| name == BIND || name == CONNECTED).map_err(|error| Unread::of(&error))?;
    let address = |name| symbols.variable(name).ok_or(Unread::NoAddress(name));
    let (bind, connected) = (address(BIND)?, address(CONNECTED)?);
    let reader = Reader::load()?;
    let chains = |table: u64| -> Result<Vec<Option<u64>>, Unread> {
        (0..BUCKETS).map(|bucket| reader.chain(table + bucket * HEAD)).collect()
    };
    Ok(Tables {
        bound: Table::new(chains(bind)?),
        unbound: reader.chain(bind + BUCKETS * HEAD)?,
        connected: Table::new(chains(connected)?),
    })
}

/// The loaded program.
struct Reader {
    ebpf: Ebpf,
    chain: Mapped<Chain>,
}

impl Reader {
    fn load() -> Result<Self, Unread> {
        raise_memlock();
        let mut ebpf = EbpfLoader::new().btf(None).load(OBJECT).map_err(|error| Unread::of(&error))?;
        let program: &mut RawTracePoint = ebpf
            .program_mut("walk_chain")
            .ok_or_else(|| Unread::Kernel("the object has no program".into()))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| Unread::of(&error))?;
        program.load().map_err(|error| Unread::of(&error))?;
        let map: &MapData = match ebpf.map("CHAIN") {
            Some(Map::Array(map)) => map,
            _ => return Err(Unread::Kernel("the object has no map".into())),
        };
        let chain = Mapped::new(map, 1).map_err(|error| Unread::of(&error))?;
        Ok(Self { ebpf, chain })
    }

    /// Nodes of the chain whose head is at `head`; `None` when it kept changing.
    fn chain(&self, head: u64) -> Result<Option<u64>, Unread> {
        for _ in 0..TRIES {
            if let Some(nodes) = self.walk(head)? {
                return Ok(Some(nodes));
            }
        }
        Ok(None)
    }

    fn walk(&self, head: u64) -> Result<Option<u64>, Unread> {
        let (mut at, mut nodes) = (head, 0);
        for _ in 0..RUNS {
            let chain = self.run(head, at)?;
            nodes += u64::from(chain.nodes);
            at = chain.at;
            if chain.end == ChainEnd::Head as u32 {
                return Ok(Some(nodes));
            }
            // An empty chain points to itself, and that is its head; anything else has lost its way.
            if chain.end != ChainEnd::Under as u32 {
                return Ok(None);
            }
        }
        Ok(None)
    }

    fn run(&self, head: u64, at: u64) -> Result<Chain, Unread> {
        let program: &RawTracePoint = self
            .ebpf
            .program("walk_chain")
            .ok_or_else(|| Unread::Kernel("the object has no program".into()))?
            .try_into()
            .map_err(|error: aya::programs::ProgramError| Unread::of(&error))?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = head;
        options.args[1] = at;
        program.test_run(options).map_err(|error| Unread::of(&error))?;
        Ok(self.chain.read(0))
    }
}
