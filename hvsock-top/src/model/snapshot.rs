//! The Snapshot itself and what is not about a single connection.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Accounting, Connection, Direction, Finding, Histogram, Lookup, Probe};

/// Version of the Snapshot's schema; grows when a name changes its meaning or goes.
pub const SCHEMA: u32 = 1;

/// What Hyper-V sockets are doing on this guest, at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Snapshot {
    /// [`SCHEMA`].
    pub schema: u32,
    /// When it was taken, RFC 3339, wall clock: connections, counts and durations are read just after it, so they hold all that had happened
    /// by then.
    pub time: String,
    /// Time since the Snapshot before; `None` for the first.
    pub interval_ns: Option<u64>,
    /// The same moment as time since the guest booted (CLOCK_MONOTONIC).
    pub uptime_ns: u64,
    /// Time since the probes were attached: nothing older was counted.
    pub observed_ns: Option<u64>,
    /// The guest.
    pub host: Host,
    /// Free memory that rings can be made of.
    pub memory: Memory,
    /// The tool itself.
    pub tool: Tool,
    /// Outcomes of opens.
    pub opens: Opens,
    /// Outcomes of closes.
    pub closes: Closes,
    /// The connections that are alive.
    pub connections: Vec<Connection>,
    /// Ports with any traffic since the probes were attached, by direction and number.
    pub ports: Vec<Port>,
    /// Listeners that were seen.
    pub listeners: Vec<Listener>,
    /// Histograms by name; absent when their probe is.
    pub latency: BTreeMap<String, Option<Histogram>>,
    /// Sums over all connections since the probes were attached.
    pub totals: Totals,
    /// What sockets are looked up in; absent in recordings of older versions.
    pub lookup: Option<Lookup>,
    /// Each logical event and what serves it.
    pub probes: Vec<Probe>,
    /// Whether anything was missed.
    pub accounting: Accounting,
    /// What is wrong, the worst first; `None` when nobody looked.
    pub findings: Option<Vec<Finding>>,
}

/// Where hv_sock comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Module {
    /// A loaded module.
    Module,
    /// Part of the kernel image.
    Builtin,
    /// Not there.
    Absent,
}

/// Which family the sockets belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// AF_VSOCK over hv_sock.
    Vsock,
    /// The AF_HYPERV family of the 2016 patch.
    AfHyperv,
}

/// The guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// Kernel release (`uname -r`).
    pub kernel: String,
    /// Host name.
    pub hostname: String,
    /// Where hv_sock comes from, or the module of AF_HYPERV in its place.
    pub hv_sock: Module,
    /// Which family.
    pub family: Family,
    /// VMBus protocol version as `major.minor`.
    pub vmbus_version: Option<String>,
}

/// Free memory, as `/proc/buddyinfo` tells it: a ring is one block of contiguous pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Memory {
    /// Bytes of a page.
    pub page_bytes: Option<u64>,
    /// Free blocks of 1, 2, 4, … pages, of all zones but DMA, which the kernel keeps for devices.
    pub free_blocks: Option<Vec<u64>>,
}

/// What the tool itself takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// CPU time it has used, in user space and in system calls; what its programs use in the kernel is not in it.
    pub cpu_ns: Option<u64>,
    /// Memory it has resident.
    pub resident_bytes: Option<u64>,
}

/// Outcomes of opens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Opens {
    /// The host connected to guest services.
    pub from_host: OpensFromHost,
    /// The guest connected to host services.
    pub to_host: OpensToHost,
}

/// Outcomes of the host's connects, by the branch that `hvs_open_connection` took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpensFromHost {
    /// Established.
    pub ok: Option<u64>,
    /// The service GUID is not one of vsock's.
    pub not_vsock: Option<u64>,
    /// Nobody is bound to the port.
    pub no_listener: Option<u64>,
    /// The bound socket does not listen.
    pub bad_state: Option<u64>,
    /// The listener's backlog was full.
    pub backlog_full: Option<u64>,
    /// No memory for the child socket.
    pub nomem_sock: Option<u64>,
    /// The child did not get the transport.
    pub transport: Option<u64>,
    /// No contiguous memory for the rings.
    pub ring_enomem: Option<u64>,
    /// The host turned the open request down.
    pub host_refused: Option<u64>,
    /// The host took the channel away meanwhile.
    pub rescinded: Option<u64>,
    /// Bad state or backlog full: the state changed while it was looked at.
    pub ambiguous: Option<u64>,
    /// Anything else.
    pub other: Option<u64>,
}

/// Outcomes of the guest's connects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OpensToHost {
    /// Established.
    pub ok: Option<u64>,
    /// ETIMEDOUT.
    pub timed_out: Option<u64>,
    /// ECONNREFUSED or ECONNRESET.
    pub refused: Option<u64>,
    /// A signal ended the wait.
    pub interrupted: Option<u64>,
    /// No way to the host.
    pub unreachable: Option<u64>,
    /// EPERM or EACCES.
    pub not_permitted: Option<u64>,
    /// The socket was closed before its connect had an outcome.
    pub abandoned: Option<u64>,
    /// Anything else.
    pub other: Option<u64>,
    /// Offers that came for a connect that no longer waited, or failed to open: by the branches of [`OpensFromHost`].
    pub late_offers: Option<u64>,
    /// No contiguous memory for the rings.
    pub ring_enomem: Option<u64>,
    /// The host turned the open request down.
    pub host_refused: Option<u64>,
}

/// How connections ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Closes {
    /// The guest closed, and the host took the channel away within 8 s.
    pub graceful: Option<u64>,
    /// The guest closed, and the host did not answer within 8 s.
    pub timed_out: Option<u64>,
    /// The host took the channel away first.
    pub by_host: Option<u64>,
    /// Freed with none of these seen.
    pub other: Option<u64>,
}

/// One listener, or a port that the host tried to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Listener {
    /// The guest's port.
    pub port: u32,
    /// Its service GUID.
    pub service_guid: String,
    /// Process that listens.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: Option<String>,
    /// Its file descriptor of the socket.
    pub fd: Option<u32>,
    /// Connections waiting to be accepted now; `None` when nobody listens any more, or it cannot be seen.
    pub backlog: Option<u32>,
    /// The limit given to `listen`.
    pub max_backlog: Option<u32>,
    /// The most that were seen waiting.
    pub peak_backlog: Option<u32>,
    /// Connections accepted.
    pub accepted: Option<u64>,
    /// Connections lost.
    pub drops: ListenerDrops,
}

/// Connections a listener lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerDrops {
    /// Dropped by hv_sock because the backlog was full.
    pub backlog_full: Option<u64>,
    /// Established, but freed without having been accepted.
    pub never_accepted: Option<u64>,
}

/// Sums over all connections, the live and the closed, since the probes were attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Totals {
    /// What they carried.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// Connections alive now.
    pub live_connections: Option<u64>,
    /// Connections gone.
    pub closed_connections: Option<u64>,
    /// Channels that exist, of all VMBus devices: each holds a relid. Refused offers hold theirs until the host takes them back.
    pub relids_used: Option<u64>,
    /// Relids there are.
    pub relids_max: u64,
    /// Memory of all live rings.
    pub ring_memory_bytes: Option<u64>,
    /// Children freed without having been accepted.
    pub never_accepted: Option<u64>,
    /// Offers that no probe has begun to handle: they queue behind one worker.
    pub offers_waiting: Option<u64>,
    /// How long the oldest of them has waited; `None`: none waits.
    pub oldest_offer_ns: Option<u64>,
    /// Connects that the host refused (message type 23); it does not say which.
    pub host_refusals: Option<u64>,
    /// Ring teardowns that failed: the ring's memory is lost.
    pub teardown_failures: Option<u64>,
    /// Binds refused with EPERM or EACCES.
    pub binds_not_permitted: Option<u64>,
    /// Sockets refused with EPERM, which only AF_HYPERV does: it wants CAP_SYS_ADMIN or CAP_NET_ADMIN.
    pub sockets_not_permitted: Option<u64>,
}

/// What happened at one service's port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// The service's port: the guest's for `from_host`, the host's for `to_host`.
    pub port: u32,
    /// Who connects.
    pub direction: Direction,
    /// Offers by outcome, as in [`OpensFromHost`]; outcomes that have not happened are left out.
    pub offers: BTreeMap<String, u64>,
    /// Failed guest connects by outcome, as in [`OpensToHost`]; outcomes that have not happened are left out.
    pub connects: BTreeMap<String, u64>,
    /// Connections through it that are alive; those whose direction is unknown are not among them.
    pub live: u64,
    /// Connections through it that are gone.
    pub closed: u64,
    /// Children accepted; `None` for `to_host`.
    pub accepted: Option<u64>,
    /// Children freed without having been accepted; `None` for `to_host`.
    pub never_accepted: Option<u64>,
    /// What all of them carried.
    #[serde(flatten)]
    pub traffic: Traffic,
}

/// What connections carried, the live and the closed, since the probes were attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Traffic {
    /// Payload bytes the guest sent.
    pub tx_bytes: Option<u64>,
    /// Payload bytes the guest received.
    pub rx_bytes: Option<u64>,
    /// Packets sent, FINs not among them.
    pub tx_packets: Option<u64>,
    /// Packets received.
    pub rx_packets: Option<u64>,
    /// Channel callbacks.
    pub callbacks: Option<u64>,
    /// Times a sender had to wait for room.
    pub stalls: Option<u64>,
    /// How long they waited.
    pub stall_ns: Option<u64>,
    /// Sends that ended with EAGAIN.
    pub eagain: Option<u64>,
    /// Writes that took less than they were given.
    pub short_writes: Option<u64>,
    /// Ring writes that failed.
    pub failed_writes: Option<u64>,
    /// Looks at a ring that found indices out of range.
    pub ring_invalid: Option<u64>,
    /// How long readers waited for data.
    pub wait_ns: Option<u64>,
}
