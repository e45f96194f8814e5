//! What a walk along the chains of a kernel's table came to.

/// Steps that one run of the program takes at most, one for each node and one for each chain's end; the rest is left to the next run.
pub const CHAIN_STEPS: u32 = 1024;

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
