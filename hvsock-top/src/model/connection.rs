//! One connection.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who asked for the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The host connected to a guest service.
    FromHost,
    /// The guest connected to a host service.
    ToHost,
}

/// Where a connection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Being opened.
    Opening,
    /// Data can flow.
    Established,
    /// Closed by the guest; the host has not taken the channel away yet.
    Closing,
    /// Taken away by the host; the guest has not closed yet.
    Rescinded,
    /// Gone.
    Closed,
}

/// One connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Connection {
    /// Never used twice while the tool runs.
    pub id: String,
    /// The channel's relid: unique while the channel lives, then used again.
    pub relid: u32,
    /// Who asked for it; `None` only for an older connection on a kernel that does not say.
    pub direction: Option<Direction>,
    /// The guest's port; `None` as above.
    pub local_port: Option<u32>,
    /// The host's port; `None` as above.
    pub remote_port: Option<u32>,
    /// GUID of the service connected to.
    pub service_guid: String,
    /// Where it is in its life; `None` as above.
    pub state: Option<State>,
    /// Process that connected or accepted.
    pub pid: Option<u32>,
    /// Its name.
    pub comm: Option<String>,
    /// A file descriptor of the socket in that process; there may be more.
    pub fd: Option<u32>,
    /// When it was established, RFC 3339, wall clock.
    pub opened_at: Option<String>,
    /// How long ago that was.
    pub age_ns: Option<u64>,
    /// How long ago one side ended it: the guest, of a `closing` one; the host, of a `rescinded` one. `None`: neither has, or it was before us.
    pub ending_for_ns: Option<u64>,
    /// Whether its whole life was observed.
    pub known_since_start: bool,
    /// What the guest sent.
    pub tx: Sent,
    /// What the guest received.
    pub rx: Received,
    /// The channel callback.
    pub callbacks: Callbacks,
    /// The rings.
    pub rings: Rings,
    /// The phases of its life.
    pub latency: ConnectionLatency,
}

/// What the guest sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sent {
    /// Payload bytes.
    pub bytes: Option<u64>,
    /// Packets, the FIN not among them.
    pub packets: Option<u64>,
    /// Calls of `hvs_stream_enqueue`.
    pub calls: Option<u64>,
    /// Calls that took less than they were given.
    pub short_writes: Option<u64>,
    /// Sends that ended with EAGAIN because the ring was full.
    pub eagain: Option<u64>,
    /// Ring writes that failed.
    pub failed_writes: Option<u64>,
    /// Times a sender had to wait for room.
    pub stalls: Option<u64>,
    /// How long all ended waits took.
    pub stall_ns: Option<u64>,
    /// How long the present wait has lasted; 0: nobody waits.
    pub stalled_for_ns: Option<u64>,
    /// errno of the last failed send; 0: none failed.
    pub last_error: Option<u32>,
}

/// What the guest received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Received {
    /// Payload bytes.
    pub bytes: Option<u64>,
    /// Packets read to their end.
    pub packets: Option<u64>,
    /// Calls of `hvs_stream_dequeue`.
    pub calls: Option<u64>,
    /// Times a reader had to wait for data.
    pub waits: Option<u64>,
    /// How long all ended waits took.
    pub wait_ns: Option<u64>,
    /// How long the present wait has lasted; 0: nobody waits.
    pub waiting_for_ns: Option<u64>,
    /// Receive calls that failed.
    pub errors: Option<u64>,
    /// errno of the last; 0: none failed.
    pub last_error: Option<u64>,
}

/// The channel callback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Callbacks {
    /// How often it ran.
    pub count: Option<u64>,
    /// Time inside it.
    pub run_ns: Option<u64>,
}

/// The two rings of a connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rings {
    /// Guest to host.
    #[serde(rename = "out")]
    pub outgoing: OutRing,
    /// Host to guest.
    #[serde(rename = "in")]
    pub incoming: InRing,
    /// Memory of both with their headers, as allocated (a power of two of pages).
    pub memory_bytes: Option<u64>,
    /// log2 of the contiguous pages that takes.
    pub alloc_order: Option<u32>,
}

/// The ring from guest to host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutRing {
    /// Data bytes.
    pub size_bytes: Option<u32>,
    /// Bytes in it now.
    pub used_bytes: Option<u32>,
    /// The most seen.
    pub max_used_bytes: Option<u32>,
    /// Bytes that hv_sock never uses: full means size less these.
    pub reserved_bytes: u32,
    /// How full it was after each write: sixteenths, then "full".
    pub occupancy: Option<Vec<u32>>,
    /// Writes after which the AF_HYPERV patch of 2016 would have called the ring full (4,128 bytes or less available).
    pub full_by_2016_rule: Option<u32>,
    /// Looks that found indices out of range.
    pub invalid: Option<u32>,
}

/// The ring from host to guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InRing {
    /// Data bytes.
    pub size_bytes: Option<u32>,
    /// Bytes in it now that the guest has not consumed.
    pub used_bytes: Option<u32>,
    /// The most seen at a callback.
    pub max_used_bytes: Option<u32>,
    /// How full it was at each callback: sixteenths, then "full".
    pub occupancy: Option<Vec<u32>>,
    /// Looks that found indices out of range.
    pub invalid: Option<u32>,
    /// Payload bytes that lay unread when the host took the channel away.
    pub unread_bytes: Option<u32>,
}

/// The phases of a connection's life. The parts of the open are disjoint and add up to offer → established.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionLatency {
    /// Guest connect to established.
    pub connect_ns: Option<u64>,
    /// Offer message to `hvs_probe`.
    pub offer_to_probe_ns: Option<u64>,
    /// Inside `vsock_find_bound_socket`.
    pub lookup_ns: Option<u64>,
    /// Inside `vmbus_alloc_ring`.
    pub ring_alloc_ns: Option<u64>,
    /// Inside `vmbus_open`, less the allocation.
    pub host_open_ns: Option<u64>,
    /// The rest of `hvs_probe`, until the connection is established.
    pub other_open_ns: Option<u64>,
    /// Queued to accepted.
    pub accept_wait_ns: Option<u64>,
    /// Established to the first payload byte.
    pub first_byte_ns: Option<u64>,
    /// Close by the guest to its end.
    pub close_ns: Option<u64>,
}
