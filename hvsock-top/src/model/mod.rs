//! The Snapshot: the one vocabulary that all outputs share. Knows no kernel and no terminal.
//!
//! JSON names are stable. Durations end in `_ns`, sizes in `_bytes`. What was not measured is `None` (JSON `null`), never zero.

mod connection;
pub mod doctor;
mod event;
mod histogram;
mod probes;
mod snapshot;

pub use connection::{
    Callbacks, Connection, ConnectionLatency, Direction, InRing, OutRing, Received, Rings, Sent, State,
};
pub use event::{EventKind, LifecycleEvent};
pub use histogram::Histogram;
pub use probes::{Accounting, Backend, Hook, Probe, ProbeState};
pub use snapshot::{
    Closes, Family, Host, Listener, ListenerDrops, Module, Opens, OpensFromHost, OpensToHost, Port, SCHEMA,
    Snapshot, Totals,
};
