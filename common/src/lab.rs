//! The memory of the lookup laboratory: sockets as nodes, the structures that find them, and the record of one batch of lookups.
//!
//! A link is the slot of a node plus one, so that zeroed memory is an empty structure. In the kernel a list head is two pointers; here the
//! first is the link that the eBPF programs follow, the second the address that the cross-check in user space follows. Both lie in the same
//! cache line.

/// Sockets that the laboratory can hold.
pub const LAB_NODES: u32 = 16_384;

/// Relids that the laboratory knows: as many again belong to no socket.
pub const LAB_RELIDS: u32 = 2 * LAB_NODES;

/// Buckets of vsock's tables (`VSOCK_HASH_SIZE`, net/vmw_vsock/af_vsock.c).
pub const LAB_BUCKETS: u32 = 251;

/// Buckets of the hash that grows, at its largest.
pub const LAB_GROWN: u32 = 32_768;

/// Lookups in one batch, at most.
pub const LAB_BATCH: u32 = 4096;

/// Nodes that one run of a program visits at most; a longer walk goes on in the next run. The verifier follows every turn of a loop, and
/// no kernel lets it keep more than 8,192 branches in mind.
pub const LAB_STRIDE: u32 = 1024;

/// What a link says at the end of a chain.
pub const LAB_END: u32 = 0;

/// One end of a list element.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Link {
    /// The next node's slot plus one; [`LAB_END`] at the end.
    pub next: u32,
    /// Unused.
    pub pad: u32,
    /// The next node's address in user space, or zero.
    pub address: u64,
}

/// A socket. Size and places of the fields are those of a socket of the family (`struct vsock_sock`, and `struct hvsock_sock` of the patch
/// of 2016), so that a walk touches as many cache lines as there: one per node by port, two by GUID or by channel.
///
/// `*_nil` are always zero. The next lookup's key is found with their help, so that a lookup cannot begin before the last one ended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct LabNode {
    /// `struct sock`: not looked at.
    pub sock: [u64; 96],
    /// Local port, by which vsock finds a listener.
    pub port: u32,
    /// Zero.
    pub port_nil: u32,
    /// Zero.
    pub guid_nil: u64,
    /// In a chain of the hash that grows.
    pub grown: Link,
    /// Service GUID, by which the patch found a listener.
    pub guid: [u64; 2],
    /// In a chain of the 251 buckets.
    pub bucket: Link,
    /// In the patch's list of bound sockets.
    pub bound: Link,
    /// In the patch's list of connected sockets.
    pub connected: Link,
    /// Not looked at.
    pub queue: [u64; 20],
    /// The channel, by which the patch found a connected socket.
    pub channel: u64,
    /// Zero.
    pub channel_nil: u64,
    /// Not looked at.
    pub rest: [u64; 30],
}

/// Heads of the lists, and the record of a batch.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct LabState {
    /// The next lookup to be made, counted from zero.
    pub cursor: u32,
    /// Lookups in the batch.
    pub length: u32,
    /// Where the walk that is under way goes on; [`LAB_END`] when none is.
    pub at: u32,
    /// Buckets of the hash that grows, less one.
    pub mask: u32,
    /// When the first lookup began, nanoseconds of `CLOCK_MONOTONIC`.
    pub begin_ns: u64,
    /// When the last one ended; zero while the batch is under way.
    pub end_ns: u64,
    /// Nodes visited.
    pub visited: u64,
    /// Lookups that found something.
    pub found: u64,
    /// Runs of the program.
    pub runs: u64,
    /// Unused.
    pub pad: u64,
    /// Head of the list of bound sockets.
    pub bound: Link,
    /// Head of the list of connected sockets.
    pub connected: Link,
}

/// What is looked for: a socket is known by four names, one for each way to find it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct LabKey {
    /// Service GUID.
    pub guid: [u64; 2],
    /// Channel.
    pub channel: u64,
    /// Local port.
    pub port: u32,
    /// Relid; less than [`LAB_RELIDS`].
    pub relid: u32,
}

/// The bucket of a port in vsock's table (`VSOCK_HASH`).
#[inline(always)]
pub const fn lab_bucket(port: u32) -> u32 {
    port % LAB_BUCKETS
}

/// The kernel's hash for a key of one word (`jhash_1word` with seed 0, include/linux/jhash.h: Bob Jenkins, 2006, public domain).
#[inline(always)]
pub const fn lab_jhash(word: u32) -> u32 {
    const START: u32 = 0xdead_beef + 4;
    let (mut a, mut b, mut c) = (word.wrapping_add(START), START, START);
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    (c ^ b).wrapping_sub(b.rotate_left(24))
}

const _: () = {
    assert!(size_of::<LabNode>() == 1280);
    // The key and its link in one line of 64 bytes by port, in two by GUID and by channel.
    assert!(core::mem::offset_of!(LabNode, port) / 64 == core::mem::offset_of!(LabNode, bucket) / 64);
    assert!(core::mem::offset_of!(LabNode, port) / 64 == core::mem::offset_of!(LabNode, grown) / 64);
    assert!(core::mem::offset_of!(LabNode, guid) / 64 != core::mem::offset_of!(LabNode, bound) / 64);
    assert!(core::mem::offset_of!(LabNode, channel) / 64 != core::mem::offset_of!(LabNode, connected) / 64);
};
