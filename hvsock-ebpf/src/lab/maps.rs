//! The memory of the laboratory. User space maps all of it, and builds the structures there.

use aya_ebpf::{bindings::BPF_F_MMAPABLE, macros::map, maps::Array};
use hvsock_common::{
    LAB_BATCH, LAB_BUCKETS, LAB_GROWN, LAB_NODES, LAB_RELIDS, LabKey, LabNode, LabState, Link,
};

/// The sockets.
#[map]
pub(crate) static NODES: Array<LabNode> = Array::with_max_entries(LAB_NODES, BPF_F_MMAPABLE);

/// Heads of vsock's chains; a list head is two pointers.
#[map]
pub(crate) static HEADS: Array<Link> = Array::with_max_entries(LAB_BUCKETS, BPF_F_MMAPABLE);

/// Heads of the chains of the hash that grows; there a head is one pointer.
#[map]
pub(crate) static GROWN: Array<u64> = Array::with_max_entries(LAB_GROWN, BPF_F_MMAPABLE);

/// By relid: the link to the socket.
#[map]
pub(crate) static POINTERS: Array<u64> = Array::with_max_entries(LAB_RELIDS, BPF_F_MMAPABLE);

/// What is looked for.
#[map]
pub(crate) static KEYS: Array<LabKey> = Array::with_max_entries(LAB_BATCH, BPF_F_MMAPABLE);

/// The batch.
#[map]
pub(crate) static STATE: Array<LabState> = Array::with_max_entries(1, BPF_F_MMAPABLE);
