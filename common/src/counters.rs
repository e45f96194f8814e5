//! Counters that outlive connections. Each CPU has its own block; each field of it is written by one hook only, so that no update is
//! lost and none needs an atomic instruction.

use crate::{CONNECT_RESULTS, DIRECTIONS, Histogram, Hook, OPEN_RESULTS};

/// What became of the events one hook saw: `seen` is the sum of the rest.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Accounting {
    /// Events that the hook decided on.
    pub seen: u64,
    /// See [`crate::Outcome::Recorded`].
    pub recorded: u64,
    /// See [`crate::Outcome::Filtered`].
    pub filtered: u64,
    /// See [`crate::Outcome::RingFull`].
    pub ring_full: u64,
    /// See [`crate::Outcome::MapFull`].
    pub map_full: u64,
    /// See [`crate::Outcome::Faulted`].
    pub faulted: u64,
    /// Entries of paired hooks whose return found no entry, or another call's: not part of `seen`.
    pub unpaired: u64,
    /// Entries of paired hooks.
    pub entered: u64,
}

/// How connections ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Closes {
    /// The guest closed and the host took the channel away within the time. Writer: [`Hook::Rescind`].
    pub graceful: u64,
    /// The guest closed and gave up waiting for the host. Writer: [`Hook::CloseTimeout`].
    pub timed_out: u64,
    /// The host took the channel away first. Writer: [`Hook::Rescind`].
    pub by_host: u64,
    /// The socket was freed with none of these seen. Writer: [`Hook::Freed`].
    pub other: u64,
}

/// Sums over the connections that are gone. Writer: [`Hook::Freed`]; those of a port are added to atomically.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct ClosedTotals {
    /// Connections.
    pub connections: u64,
    /// See [`crate::Send::bytes`], and so on.
    pub tx_bytes: u64,
    /// Packets sent.
    pub tx_packets: u64,
    /// Payload bytes received.
    pub rx_bytes: u64,
    /// Packets received.
    pub rx_packets: u64,
    /// Callbacks.
    pub callbacks: u64,
    /// Send stalls.
    pub stalls: u64,
    /// Nanoseconds of them.
    pub stall_ns: u64,
    /// Sends that ended with EAGAIN.
    pub eagain: u64,
    /// Short writes.
    pub short_writes: u64,
    /// Failed ring writes.
    pub failed_writes: u64,
    /// Looks at a ring that found nonsense.
    pub ring_invalid: u64,
    /// Nanoseconds readers waited.
    pub wait_ns: u64,
}

macro_rules! latencies {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// The latency histograms; each is fed by one hook.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Latency { $($(#[$doc])* $variant),+ }

        impl Latency {
            /// Every histogram, in order of its number.
            pub const ALL: &'static [Latency] = &[$(Latency::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Latency::$variant => $name),+ }
            }
        }
    };
}

latencies! {
    /// Guest connect, end to end.
    Connect = "connect",
    /// Offer to probe.
    OfferToProbe = "offer_to_probe",
    /// Bound-socket lookup.
    Lookup = "lookup",
    /// Ring allocation.
    RingAlloc = "ring_alloc",
    /// Host open wait.
    HostOpen = "host_open",
    /// The rest of the open.
    OtherOpen = "other_open",
    /// Queued to accepted.
    AcceptWait = "accept_wait",
    /// Established to first payload, when the guest sends first.
    FirstByteTx = "first_byte_tx",
    /// Established to first payload, when the guest receives first.
    FirstByteRx = "first_byte_rx",
    /// Close to freed.
    Close = "close",
    /// Time inside the callback.
    CallbackRun = "callback_run",
    /// Interrupt to callback.
    CallbackDelay = "callback_delay",
    /// Send stalls that ended in room.
    SendStall = "send_stall",
    /// Receive waits.
    RecvWait = "recv_wait",
}

/// One CPU's counters.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct CpuCounters {
    /// By [`Hook`].
    pub accounting: [Accounting; Hook::COUNT],
    /// By direction and [`crate::OpenResult`]. Writer: [`Hook::Open`].
    pub opens: [[u64; OPEN_RESULTS.len()]; DIRECTIONS.len()],
    /// By [`crate::ConnectResult`], failures that the connect call returned. Writer: [`Hook::ConnectEnd`].
    pub connects: [u64; CONNECT_RESULTS.len()],
    /// Guest connects that were established. Writer: [`Hook::Established`].
    pub connects_ok: u64,
    /// Non-blocking connects that timed out after their call had returned. Writer: [`Hook::ConnectTimeout`].
    pub connects_late_timed_out: u64,
    /// Sockets closed before their connect had an outcome. Writer: [`Hook::Release`].
    pub connects_abandoned: u64,
    /// Slots taken again without the end having been seen. Writer: the hook that takes the slot.
    pub ends_missed: u64,
    /// See [`Closes`].
    pub closes: Closes,
    /// See [`ClosedTotals`].
    pub closed: ClosedTotals,
    /// One for this CPU's running callback. Writer: [`Hook::Callback`].
    pub callback_sk: u64,
    /// The relid of the connection that this CPU last had to do with: a guess, to be checked. Writer: any hook.
    pub recent_relid: u32,
    /// Unused.
    pub pad: u32,
    /// Connections accepted. Writer: [`Hook::Accept`].
    pub accepted: u64,
    /// Children freed without ever having been accepted. Writer: [`Hook::Freed`].
    pub never_accepted: u64,
    /// Binds refused with EPERM or EACCES. Writer: [`Hook::Bind`].
    pub bind_not_permitted: u64,
    /// Sockets refused with EPERM. Writer: [`Hook::Socket`].
    pub sockets_not_permitted: u64,
    /// Host messages of type 23 (connection refused). Writer: [`Hook::HostMessage`].
    pub host_refusals: u64,
    /// GPADL teardowns that failed. Writer: [`Hook::Teardown`].
    pub teardown_failures: u64,
    /// By [`Latency`].
    pub latency: [Histogram; Latency::COUNT],
    /// Keeps the size a multiple of the alignment.
    pub reserved: [u64; 3],
}

/// Ports that can be counted one by one.
pub const MAX_PORTS: u32 = 4096;

/// Key of the per-port table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct PortKey {
    /// The service's port: the guest's for `from_host`, the host's for `to_host`.
    pub port: u32,
    /// [`crate::Direction`].
    pub direction: u32,
}

/// What happened at one port.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct PortRecord {
    /// By [`crate::OpenResult`]. Writer: [`Hook::Open`] (one worker).
    pub opens: [u64; OPEN_RESULTS.len()],
    /// By [`crate::ConnectResult`]; added to atomically.
    pub connects: [u64; CONNECT_RESULTS.len()],
    /// Accepted connections; added to atomically.
    pub accepted: u64,
    /// Freed without having been accepted; added to atomically.
    pub never_accepted: u64,
    /// The listener's backlog limit, as last seen.
    pub max_ack_backlog: u32,
    /// Its backlog, as last seen at an open.
    pub ack_backlog: u32,
    /// The most seen at an open.
    pub peak_ack_backlog: u32,
    /// Unused.
    pub pad: u32,
    /// The listener's socket, as last seen.
    pub sk: u64,
    /// Connections through this port that are gone.
    pub closed: ClosedTotals,
}

/// A socket that listens, as the inventory found it; keyed by the socket.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct ListenerRecord {
    /// The guest's port.
    pub port: u32,
    /// Connections that wait to be accepted, at the last look.
    pub backlog: u32,
    /// The limit given to `listen`.
    pub max_backlog: u32,
    /// The most that any look found.
    pub peak_backlog: u32,
    /// Non-zero: the last look found that it listens no more.
    pub gone: u32,
    /// Thread group that has it open; the first one of the last pass.
    pub pid: u32,
    /// Its file descriptor there.
    pub fd: i32,
    /// The pass of the inventory that found it last.
    pub pass: u32,
    /// The name of `pid`.
    pub comm: [u8; 16],
}

const _: () = assert!(size_of::<CpuCounters>().is_multiple_of(64));
