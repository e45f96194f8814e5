//! The records that the eBPF programs write and that hvsock-top reads. Nothing else.
//!
//! Both sides compile this crate, so both agree on every byte; [`ABI`] is a fingerprint of the layout that the loader compares with
//! the one inside the object it is about to load. The crate depends on nothing: no allocator, no kernel headers, no aya.
//!
//! Conventions
//! - Times are nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`). Durations are nanoseconds.
//! - [`UNKNOWN`] in a time or duration means "not measured". Zero is a measurement.
//! - Every field has one writer at a time; which one is said at the field's group. No field is ever updated with a lock.
#![no_std]

mod abi;
mod chain;
mod counters;
mod event;
mod hist;
mod hook;
mod lab;
mod layout;
mod open;
mod record;

pub use abi::ABI;
pub use chain::{CHAIN_STEPS, CHAINS, SEARCH_STEPS, Search, Searched, Walk, WalkEnd};
pub use counters::{
    Accounting, ClosedTotals, Closes, CpuCounters, Latency, ListenerRecord, MAX_PORTS, PortKey, PortRecord,
};
pub use event::{Event, EventKind};
pub use hist::{BUCKETS, Histogram, SUB_BITS, bucket_bounds, bucket_of};
pub use hook::{Hook, Outcome};
pub use lab::{
    LAB_BATCH, LAB_BUCKETS, LAB_END, LAB_GROWN, LAB_NODES, LAB_RELIDS, LAB_STRIDE, LabKey, LabNode, LabState,
    Link, lab_bucket, lab_jhash,
};
pub use layout::{Layout, MISSING};
pub use open::{CONNECT_RESULTS, ConnectResult, DIRECTIONS, Direction, OPEN_RESULTS, OpenResult};
pub use record::{
    Callbacks, ConnRecord, OCCUPANCY_STEPS, Phases, Receive, Rings, Send, State, flag, occupancy_step,
};

/// "Not measured", in every time and duration field.
pub const UNKNOWN: u64 = u64::MAX;

/// Channels a VMBus can have (`MAX_CHANNEL_RELIDS`, drivers/hv/hyperv_vmbus.h): relids run from 0 to this less one.
pub const MAX_RELIDS: usize = 2048;

/// Rows of the table that pairs a function's entry with its return when only kprobes are to be had.
pub const CALL_ROWS: u32 = 4096;

/// Slots that one run of the reader's own program looks at.
pub const REFRESH_CHUNK: u32 = 32;

/// Bytes that hv_sock leaves unused in an out ring: with no more than this available it writes nothing
/// (`hvs_channel_writable_bytes`, net/vmw_vsock/hyperv_transport.c: the FIN packet and one header stay reserved).
pub const RING_RESERVE: u32 = 72;

/// Bytes that the AF_HYPERV patch of 2016 left unused in an out ring: it wrote only with more than a packet of one page available
/// (`HVSOCK_PKT_LEN(PAGE_SIZE)`, 4096 + 32).
pub const RING_RESERVE_2016: u32 = 4128;

/// Bytes of a packet that are not payload: descriptor and pipe header in front, the trailer behind.
pub const PACKET_OVERHEAD: u32 = 32;

/// What the programs may rely on, written by the loader once everything is attached.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Config {
    /// One bit for each [`Hook`] that is attached.
    pub active: u64,
    /// Non-zero: the reader wants lifecycle events.
    pub events: u64,
}

/// One call in flight, from its entry probe to its return probe.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Call {
    /// `pid_tgid` of the caller while the call runs, else zero.
    pub owner: u64,
    /// The first argument.
    pub arg: u64,
    /// Another argument, as the hook needs.
    pub extra: u64,
}

/// The calls a thread may be inside of at once, one place for each kind.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct CallRow {
    /// By [`pair`] number.
    pub calls: [Call; pair::COUNT],
}

/// A guest-initiated connection between `hvs_connect` and its outcome, keyed by the socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Connecting {
    /// When `hvs_connect` was entered.
    pub begin_ns: u64,
    /// `pid_tgid` of the connecting thread.
    pub pid_tgid: u64,
    /// Its name.
    pub comm: [u8; 16],
    /// The host port it wants.
    pub remote_port: u32,
    /// Its own port.
    pub local_port: u32,
}

/// What the probes between the entry and the exit of one `hvs_probe` have seen, keyed by the worker's thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Opening {
    /// When `hvs_probe` was entered.
    pub begin_ns: u64,
    /// When the offer came in, or [`UNKNOWN`].
    pub offered_ns: u64,
    /// The channel.
    pub chan: u64,
    /// The listener (from host) or the connecting socket (to host).
    pub sk: u64,
    /// The child socket (from host).
    pub child: u64,
    /// Begin of the lookup, then its duration.
    pub lookup_ns: u64,
    /// Begin of the ring allocation, then its duration.
    pub alloc_ns: u64,
    /// Begin of `vmbus_open`, then its duration.
    pub open_ns: u64,
    /// Returned values; meaningful when the step's bit is set in `seen`.
    pub transport_ret: i32,
    /// Returned by `vmbus_alloc_ring`.
    pub alloc_ret: i32,
    /// Returned by `vmbus_open`.
    pub open_ret: i32,
    /// Steps that returned: bits of `seen`.
    pub seen: u32,
    /// The channel's relid.
    pub relid: u32,
    /// [`Direction`].
    pub direction: u32,
    /// The guest's port.
    pub local_port: u32,
    /// The host's port.
    pub remote_port: u32,
    /// `sk_state` of `sk` when the lookup returned it.
    pub sk_state: u32,
    /// `sk_ack_backlog` at that moment.
    pub ack_backlog: u32,
    /// `sk_max_ack_backlog` at that moment.
    pub max_ack_backlog: u32,
    /// Non-zero once the slot belongs to this connection.
    pub slot_taken: u32,
    /// [`OpenResult`], once it is known.
    pub result: u32,
    /// Unused.
    pub pad: u32,
}

/// Numbers of [`CallRow::calls`]: hooks whose return needs what their entry was given.
pub mod pair {
    /// [`crate::Hook::RingWrite`]
    pub const RING_WRITE: usize = 0;
    /// [`crate::Hook::Enqueue`]
    pub const ENQUEUE: usize = 1;
    /// [`crate::Hook::Dequeue`]
    pub const DEQUEUE: usize = 2;
    /// [`crate::Hook::SendEnd`]
    pub const SEND: usize = 3;
    /// [`crate::Hook::RecvEnd`]
    pub const RECV: usize = 4;
    /// [`crate::Hook::Accept`]
    pub const ACCEPT: usize = 5;
    /// [`crate::Hook::ConnectEnd`]
    pub const CONNECT: usize = 6;
    /// [`crate::Hook::Bind`]
    pub const BIND: usize = 7;
    /// How many there are.
    pub const COUNT: usize = 8;
}

/// Bits of [`Opening::seen`].
pub mod seen {
    /// `vsock_find_bound_socket` returned.
    pub const LOOKUP: u32 = 1;
    /// `vsock_create_connected` returned.
    pub const CREATE: u32 = 2;
    /// `vsock_assign_transport` returned.
    pub const TRANSPORT: u32 = 4;
    /// `vmbus_alloc_ring` returned.
    pub const ALLOC: u32 = 8;
    /// `vmbus_open` returned.
    pub const OPEN: u32 = 16;
    /// `vsock_insert_connected` was called.
    pub const INSERT: u32 = 32;
    /// `vmbus_open` was entered.
    pub const OPEN_ENTERED: u32 = 64;
}
