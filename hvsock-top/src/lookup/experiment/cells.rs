//! What was measured: cells, each with one kind of socket and so many of them. JSON names are stable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whose sockets, and how they are found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// AF_HYPERV as the patch had it: one list of bound sockets by GUID, one of connected ones by channel.
    AfHypervList,
    /// AF_HYPERV with 251 buckets for each kind: by the port of the GUID, by the channel's relid.
    AfHypervHash,
    /// AF_HYPERV with the hash for bound sockets, and the connected one kept with its channel.
    AfHypervPointer,
    /// The kernel's own hv_sock under vsock: 251 buckets by port; the connected socket is kept with its channel.
    HvSock,
}

impl Variant {
    /// All, in the order of the report.
    pub const ALL: [Self; 4] = [Self::AfHypervList, Self::AfHypervHash, Self::AfHypervPointer, Self::HvSock];

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::AfHypervList => "AF_HYPERV, list",
            Self::AfHypervHash => "AF_HYPERV, hash",
            Self::AfHypervPointer => "AF_HYPERV, pointer",
            Self::HvSock => "hv_sock",
        }
    }
}

/// What costs are counted in.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Guest instructions: the guest's clock goes up by one for each, so that any span of its time is a number of them. A span in which the
    /// CPU slept contains what it slept.
    Instructions,
    /// Nanoseconds of an emulated CPU, on a computer that had other work: good for comparing cells of one file, and for nothing else.
    Nanoseconds,
}

/// Who asks for a connection.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The guest: `connect()` looks for a free name, the open finds the socket that connects. In a list it is the first.
    ToHost,
    /// The host: the open finds a listener.
    FromHost,
}

/// A cost that was measured several times, in the cell's unit.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Cost {
    /// How many times.
    pub count: u64,
    /// All together.
    pub sum: u64,
    /// The mean. `null` when there are none.
    pub mean: Option<f64>,
    /// Median. Of a phase: the upper bound of its bucket, 6.25 % above at most. `null` when there are none.
    pub median: Option<u64>,
    /// 99th percentile, likewise.
    pub p99: Option<u64>,
    /// The largest. Of a phase: the upper bound of its bucket.
    pub max: Option<u64>,
}

/// A part of a connection's life, as hvsock-top's probes see it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// As in the Snapshot's `latency`. Of an open: `offer_to_probe`, `lookup`, `ring_alloc`, `host_open`, `other_open`, which are disjoint and
    /// together all of it. Besides: `connect`, `accept_wait`, `close`.
    pub name: String,
    /// What it cost. The probes' own cost is in it; it is the same for all variants and sizes.
    pub cost: Cost,
    /// Part of the whole open, 0 to 1. `null` for what is no part of an open, and when a part of it was not seen.
    pub share: Option<f64>,
}

/// Lookups of one kind in a cell.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Walk {
    /// Lookups that theory expects.
    pub lookups_expected: u64,
    /// Lookups that the module counted. `null` for hv_sock, which does not count.
    pub lookups: Option<u64>,
    /// Sockets that these lookups must compare, from the order in which sockets were bound or connected. `null` where the order is not known.
    pub nodes_expected: Option<u64>,
    /// Sockets compared, as the module counted them. `null` for hv_sock.
    pub nodes: Option<u64>,
    /// What all these lookups cost, by the module's own clock readings (which are in it), in the cell's unit. `null` for hv_sock.
    pub cost: Option<u64>,
}

impl Walk {
    /// Whether what was counted is what theory says. `None` where nothing was counted.
    pub fn is_exact(&self) -> Option<bool> {
        let nodes = self.nodes_expected.is_none() || self.nodes == self.nodes_expected;
        self.lookups.map(|lookups| lookups == self.lookups_expected && nodes)
    }

    /// Sockets compared per lookup: as counted, else as theory says. `None` when neither is known, or nothing was looked up.
    pub fn nodes_per_lookup(&self) -> Option<f64> {
        let nodes = self.nodes.or(self.nodes_expected)?;
        let lookups = self.lookups.unwrap_or(self.lookups_expected);
        (lookups > 0).then(|| nodes as f64 / lookups as f64)
    }
}

/// Connections opened and closed one after the other, each when the one before has gone, with hvsock-top attached.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OpenCell {
    /// Whose sockets.
    pub variant: Variant,
    /// What costs are counted in.
    pub unit: Unit,
    /// Who asks.
    pub direction: Direction,
    /// Connections to the host that exist and do nothing. Each is bound (to a name of its own) and connected.
    pub idle: u32,
    /// Listeners. They were bound before the idle connections, so that in a list they come last. The host connects to some that are spread
    /// evenly over them.
    pub services: u32,
    /// Which measurement of this cell it is, from 1. More than one shows how well it repeats.
    pub run: u32,
    /// Connections opened and closed.
    pub opens: u32,
    /// Connections that were opened, by the host's ledger.
    pub ledger_opens: u32,
    /// The parts of their lives.
    pub phases: Vec<Phase>,
    /// What all threads ran for one of them, from before the open until all was quiet after the close: without waits, but with the probes
    /// and the little that measuring takes.
    pub life: Cost,
    /// Lookups of a bound socket: one for each open; for each `connect()` one more, which finds nothing.
    pub bound: Walk,
    /// Lookups of a connected socket: one for each rescind. The guest has closed it already, so it is not found.
    pub connected: Walk,
}

impl OpenCell {
    /// The phase of that name.
    pub fn phase(&self, name: &str) -> Option<&Phase> {
        self.phases.iter().find(|phase| phase.name == name)
    }
}

/// As many connections as possible, without a probe attached.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BurstCell {
    /// Whose sockets.
    pub variant: Variant,
    /// What costs are counted in.
    pub unit: Unit,
    /// From the host: it offers all at once, the guest accepts them as they open, and closes them when all are. To the host: the guest connects and closes in a
    /// loop, and does not wait for the host to take the channels back.
    pub direction: Direction,
    /// As in [`OpenCell`].
    pub idle: u32,
    /// As in [`OpenCell`].
    pub run: u32,
    /// Connections.
    pub opens: u32,
    /// Connections that were opened, by the host's ledger.
    pub ledger_opens: u32,
    /// From the first offer to the last open, by the host's ledger, in the cell's unit, sleeps included.
    pub elapsed: u64,
    /// Opens per 1,000,000,000 of the unit: for nanoseconds, connections per second of this emulated CPU; for instructions, those that a CPU
    /// would manage which runs so many in a second and never waits for memory.
    pub per_billion: f64,
    /// What all threads ran from before the first until all were closed and quiet, divided by the connections: without waits.
    pub life_mean: f64,
    /// Lookups of a bound socket.
    pub bound: Walk,
    /// Lookups of a connected socket.
    pub connected: Walk,
    /// What the lookups cost of all that was run, 0 to 1. `null` for hv_sock.
    pub lookup_share: Option<f64>,
    /// The family's mutex meanwhile. `null` for hv_sock, which has none.
    pub mutex: Option<Mutex>,
}

/// The one mutex of AF_HYPERV, as the module counted: held over every open with the host's answer, every bind, connect and close.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mutex {
    /// How often it was taken.
    pub locks: u64,
    /// How often somebody had to wait for it.
    pub contended: u64,
    /// How long all of those waited together, in the cell's unit.
    pub wait: u64,
    /// How long it was held, all together.
    pub held: u64,
}

/// Opens from the host while threads of the guest bind and close sockets in a loop, without a probe attached.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ContentionCell {
    /// Whose sockets.
    pub variant: Variant,
    /// What costs are counted in.
    pub unit: Unit,
    /// As in [`OpenCell`].
    pub idle: u32,
    /// Threads that bind and close.
    pub threads: u32,
    /// As in [`OpenCell`].
    pub run: u32,
    /// Whether the host opens connections meanwhile; else it is the same without, to compare with.
    pub opening: bool,
    /// Connections that the host opened meanwhile, by its ledger.
    pub ledger_opens: u32,
    /// One `socket()` with its `bind()`, in the cell's unit, waits included: exact percentiles.
    pub bind: Cost,
    /// One `close()` of a bound socket, likewise.
    pub close: Cost,
    /// The family's mutex meanwhile. `null` for hv_sock, whose `bind()` takes a spinlock.
    pub mutex: Option<Mutex>,
}
