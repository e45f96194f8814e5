//! The lookup in the running kernel: how full vsock's tables are, and what finding the listener takes of an open.
//!
//! `tables` reads the chains with a program that is never attached; `phases` compares two Snapshots, which come from wherever Snapshots come
//! from; `report` is what comes out.

mod phases;
mod report;
mod tables;

pub use phases::{Window, window};
pub use report::{LiveReport, Phase, SCHEMA, Scan, Table, Tables};
pub use tables::{Unread, read};
