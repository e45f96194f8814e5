//! The experiment: what the lookups cost in the sockets themselves, AF_HYPERV with list, hash or pointer, and today's hv_sock.
//!
//! `cargo xtask bench lookup` runs it in a virtual machine; what the machine says comes here to be checked, and made a report of. `cells` are
//! what was measured, `report` is what comes out, `make` checks and puts together, `growth` says how costs grow, `check` whether that is what
//! was predicted.

mod cells;
mod check;
mod growth;
mod make;
mod report;

pub use cells::{BurstCell, ContentionCell, Cost, Direction, Mutex, OpenCell, Phase, Unit, Variant, Walk};
pub use make::{Wrong, make};
pub use report::{Check, ExperimentReport, Growth, Guest, Heading, Line, Measure, SCHEMA};
