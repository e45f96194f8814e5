//! What a walk along one chain of a kernel's hash table came to.

/// Nodes that one run of the program goes past at most; a longer chain is walked on with the next run.
pub const CHAIN_STEPS: u32 = 256;

/// How a run ended.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainEnd {
    /// Not: there is more.
    Under = 0,
    /// At the head: the chain is whole.
    Head = 1,
    /// At a node that points to itself: it was taken out meanwhile.
    Lost = 2,
    /// At memory that cannot be read.
    Faulted = 3,
}

/// What a run came to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Chain {
    /// The last node.
    pub at: u64,
    /// Nodes gone past in this run.
    pub nodes: u32,
    /// A [`ChainEnd`].
    pub end: u32,
}
