//! The lookup in the running kernel: how full vsock's tables are, and what finding the listener takes of an open.
//!
//! `phases` compares two Snapshots, which come from wherever Snapshots come from; `report` is what comes out.

mod phases;
mod report;

pub use phases::{Window, window};
pub use report::{LiveReport, Phase, SCHEMA, Scan, Table, Tables};
