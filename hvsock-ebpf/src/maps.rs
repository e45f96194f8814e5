//! The maps and the constants the loader sets.

use aya_ebpf::{
    Global,
    bindings::BPF_F_MMAPABLE,
    helpers::bpf_get_smp_processor_id,
    macros::map,
    maps::{Array, HashMap, RingBuf},
};
use hvsock_common::{
    ABI, CALL_ROWS, CallRow, Config, ConnRecord, Connecting, CpuCounters, Layout, ListenerRecord, MAX_PORTS,
    MAX_RELIDS, Opening, PortKey, PortRecord,
};

/// Where the kernel keeps what we read; the loader replaces it before the programs load. Read one field at a time with [`at!`].
#[unsafe(no_mangle)]
pub(crate) static LAYOUT: Layout = Layout::EMPTY;

/// One offset of [`LAYOUT`]. The read is volatile, or the compiler would believe the value in this file; to the verifier it is a
/// constant, because the map behind it is frozen.
macro_rules! at {
    ($field:ident) => {
        $crate::maps::offset(&raw const $crate::maps::LAYOUT.$field)
    };
}
pub(crate) use at;

/// See [`at!`].
#[inline(always)]
pub(crate) fn offset(field: *const u32) -> u32 {
    // SAFETY: `at!` passes the address of a member of a static.
    unsafe { field.read_volatile() }
}

/// The fingerprint of the records this object was built with; only the loader reads it.
#[unsafe(no_mangle)]
#[used]
pub(crate) static HVSOCK_ABI: Global<u64> = Global::new(ABI);

/// One record per connection, by relid. Mapped by the reader.
#[map]
pub(crate) static SLOTS: Array<ConnRecord> = Array::with_max_entries(MAX_RELIDS as u32, BPF_F_MMAPABLE);

/// One block of counters per CPU, mapped by the reader; the loader sets the number of CPUs.
#[map]
pub(crate) static CPUS: Array<CpuCounters> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// When each relid's offer arrived, or zero.
#[map]
pub(crate) static OFFERED: Array<u64> = Array::with_max_entries(MAX_RELIDS as u32, BPF_F_MMAPABLE);

/// Calls between entry and return, by thread id; only used where returns cannot see arguments (kprobes).
#[map]
pub(crate) static CALLS: Array<CallRow> = Array::with_max_entries(CALL_ROWS, 0);

/// Opens in progress, by the worker's thread id.
#[map]
pub(crate) static OPENING: HashMap<u32, Opening> = HashMap::with_max_entries(256, 0);

/// The same by relid: the channel that `hvs_probe` is opening, or zero. No channel has relid 0: there are counted the opens that found no room above.
#[map]
pub(crate) static OPENS: Array<u64> = Array::with_max_entries(MAX_RELIDS as u32, 0);

/// Relids whose slot is being given to a connection older than the probes, with its socket; see `inherit`. As many as there are CPUs at
/// most, and one more for each that is interrupted meanwhile.
#[map]
pub(crate) static ADOPTING: HashMap<u32, u64> = HashMap::with_max_entries(1024, 0);

/// Sockets that listen, as the inventory found them.
#[map]
pub(crate) static LISTENERS: HashMap<u64, ListenerRecord> = HashMap::with_max_entries(MAX_PORTS, 0);

/// Guest connects in progress, by socket.
#[map]
pub(crate) static CONNECTING: HashMap<u64, Connecting> = HashMap::with_max_entries(4096, 0);

/// What happened at each port.
#[map]
pub(crate) static PORTS: HashMap<PortKey, PortRecord> = HashMap::with_max_entries(MAX_PORTS, 0);

/// Lifecycle events; the loader may change the size.
#[map]
pub(crate) static EVENTS: RingBuf = RingBuf::with_byte_size(1 << 20, 0);

/// What the programs may rely on.
#[map]
pub(crate) static CONFIG: Array<Config> = Array::with_max_entries(1, 0);

/// One CPU's counters, as a program gets them once and hands them on: each lookup costs more than most of what is done with them.
pub(crate) type Cpu = *mut CpuCounters;

/// This CPU's counters.
#[inline(always)]
pub(crate) fn cpu() -> Option<Cpu> {
    // SAFETY: the helper has no preconditions.
    CPUS.get_ptr_mut(unsafe { bpf_get_smp_processor_id() })
}

/// What is attached and wanted.
#[inline(always)]
pub(crate) fn config() -> Config {
    match CONFIG.get(0) {
        Some(config) => *config,
        None => Config { active: 0, events: 0 },
    }
}
