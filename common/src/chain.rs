//! What a walk along the chains of a kernel's table came to.

/// Steps that one run of the program takes at most, one for each node and one for each chain's end; the rest is left to the next run.
pub const CHAIN_STEPS: u32 = 256;

/// Chains of a table there is room for.
pub const CHAINS: usize = 256;

/// How a run ended.
#[repr(u64)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkEnd {
    /// Not: there is more.
    Under = 0,
    /// At the end of the last chain.
    Whole = 1,
    /// At a node that points to itself: it was taken out meanwhile.
    Lost = 2,
    /// At memory that cannot be read.
    Faulted = 3,
}

/// What a run came to.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Walk {
    /// The last node.
    pub at: u64,
    /// Nodes gone past in the chain that it is in, in all runs.
    pub nodes: u64,
    /// Which chain that is.
    pub bucket: u64,
    /// A [`WalkEnd`].
    pub end: u64,
    /// Nodes of each chain whose end was reached, in this run or before.
    pub lengths: [u64; CHAINS],
}

/// Nodes that one search goes past at most; a longer one is given up. The verifier walks each turn of the loop, and on old kernels slowly.
pub const SEARCH_STEPS: u32 = 1024;

/// Where AF_HYPERV has its two tables, and how it searches them. Addresses, and offsets in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Search {
    /// The bound sockets' first list head.
    pub bound: u64,
    /// The connected sockets'.
    pub connected: u64,
    /// Buckets that are in use: 1 for a list.
    pub buckets: u64,
    /// Non-zero: connected sockets are kept with the channel, and not searched.
    pub by_pointer: u64,
    /// `hvsock_sock.bound_node`
    pub bound_node: u64,
    /// `hvsock_sock.connected_node`
    pub connected_node: u64,
    /// `hvsock_sock.local_addr.shv_service_guid`
    pub service: u64,
    /// `hvsock_sock.pipe`
    pub pipe: u64,
    /// `hvsock_pipe.channel`
    pub channel: u64,
    /// `vmbus_channel.offermsg.child_relid`
    pub relid: u64,
}

/// What the searches of one table came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Searched {
    /// Searches.
    pub lookups: u64,
    /// Nodes that were compared, the one found included.
    pub nodes: u64,
    /// Searches that were given up: their nodes are not counted.
    pub lost: u64,
    /// Nodes of the search that is under way, or was last.
    pub walking: u64,
}
