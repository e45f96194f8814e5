//! The laboratory: the structures that the patch of 2016, vsock and other families use to find a socket, built in BPF maps and walked in the
//! kernel by programs that are run but never attached.
//!
//! How a number comes about
//! - `population` makes the sockets and what is looked for, from a seed; `memory` holds them, scattered; `structures` links them.
//! - `theory` says how many nodes each lookup must visit, from the order of the sockets alone. It never looks at the memory.
//! - `kernel` runs a batch of lookups and reads what came of it; `user` walks the same memory in user space.
//! - `measure` repeats that, takes away what an empty walk costs, and refuses a batch whose nodes are not exactly those of theory.
//! - `fit` says how the cost grows; `report` is what comes out.

mod cache;
pub(in crate::lookup) mod fit;
mod kernel;
mod machine;
mod measure;
mod memory;
mod population;
mod report;
mod run;
mod stats;
mod structures;
mod theory;
mod user;

pub use kernel::LabError;
pub use report::{
    Cache, Cell, CrossCheck, Fit, Fixed, Kind, LabReport, Machine, Nodes, Shape, Spread, Structure,
};
pub use run::{Observer, Options, run};

/// Sockets the laboratory can hold.
pub const MAX_SOCKETS: u32 = hvsock_common::LAB_NODES;
