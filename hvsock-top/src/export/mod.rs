//! Snapshots for monitoring: metrics in three formats, JSON and health over HTTP. Knows no kernel and no terminal.
//!
//! The collecting side gives each Snapshot to a [`Board`]; whoever asks gets the newest from there. A body is made at most once for each
//! Snapshot and format, however many ask, and no request touches the connections of a Snapshot but `/snapshot`.

mod board;
mod buckets;
mod catalog;
mod family;
mod health;
pub mod http;
mod negotiate;
mod openmetrics;
mod ports;
mod protobuf;
#[cfg(test)]
mod tests;
mod text;

pub use board::Board;
