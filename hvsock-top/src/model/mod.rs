//! The Snapshot: the one vocabulary that all outputs share. Knows no kernel and no terminal.
//!
//! JSON names are stable. Durations end in `_ns`, sizes in `_bytes`. What was not measured is `None` (JSON `null`), never zero.

#[cfg(test)]
mod blank;
mod connection;
pub mod doctor;
mod event;
mod finding;
mod histogram;
mod lookup;
mod probes;
pub mod schema;
mod snapshot;
mod source;

pub use connection::{
    Callbacks, Connection, ConnectionLatency, Direction, InRing, OutRing, Received, Rings, Sent, State,
};
pub use event::{EventKind, LifecycleEvent};
pub use finding::{Finding, Number, Severity};
pub use histogram::Histogram;
pub use lookup::{Lookup, LookupTable, Searched, Searches};
pub use probes::{Accounting, Backend, Hook, Probe, ProbeState};
pub use snapshot::{
    Closes, Family, Host, Listener, ListenerDrops, Memory, Module, Opens, OpensFromHost, OpensToHost, Port,
    SCHEMA, Snapshot, Tool, Totals, Traffic,
};
pub use source::Source;
