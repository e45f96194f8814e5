//! The experiment: what the lookups cost in the sockets themselves, AF_HYPERV with list, hash or pointer, and today's hv_sock.
//!
//! `cargo xtask bench lookup` runs it in a virtual machine; what the machine says comes here to be checked, and made a report of. `report` is
//! what comes out, `make` checks and puts together, `growth` says how costs grow, `check` whether
//! that is what was predicted.

mod check;
mod growth;
mod make;
mod report;

pub use make::{Wrong, make};
pub use report::{
    BurstCell, Check, ContentionCell, Cost, Direction, ExperimentReport, Growth, Guest, Heading, Line,
    Measure, Mutex, OpenCell, Phase, SCHEMA, Unit, Variant, Walk,
};
