//! The filter: a small language over the fields of rows.
//!
//! ```text
//! port:5000 and stalls>0        comm=vsockd or state:closing        not (tx<10KiB or /ssh/)
//! ```
//! `:` looks inside text and compares numbers, `=` and `!=` compare whole values, `<` `<=` `>` `>=` compare numbers, `~` matches a regular
//! expression. Conditions side by side must all hold. A word alone looks into all text, `/…/` matches any. Nothing is true of a value that is
//! not known, except `field=-`, which asks for just that.

mod eval;
mod lexer;
mod parser;

pub(super) use eval::{Fields, Value};
pub(super) use parser::Query;

/// What rows have; not every row has all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The service's port.
    Port,
    /// The guest's port.
    Local,
    /// The host's port.
    Remote,
    /// `to_host` or `from_host`.
    Direction,
    /// Where in its life.
    State,
    /// Process name.
    Comm,
    /// Process.
    Pid,
    /// The channel's number.
    Relid,
    /// The connection's id.
    Id,
    /// The service's GUID.
    Guid,
    /// Bytes sent per second.
    Tx,
    /// Bytes received per second.
    Rx,
    /// Bytes sent.
    TxBytes,
    /// Bytes received.
    RxBytes,
    /// How full the ring to the host is, per cent.
    Out,
    /// How full the ring from the host is, per cent.
    In,
    /// Times a sender had to wait.
    Stalls,
    /// How long the present wait has lasted, ns.
    Stalled,
    /// Sends that ended with EAGAIN.
    Eagain,
    /// How long the open took, ns.
    Open,
    /// How long it has been established, ns.
    Age,
    /// What happened (events).
    Event,
    /// Why (events).
    Why,
    /// errno of the last failed send, or of the event.
    Errno,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text.
    Text,
    /// A plain number.
    Number,
    /// Bytes, or bytes per second.
    Bytes,
    /// Time.
    Time,
}

/// Every field: its name, others for it, what it holds.
pub(super) const FIELDS: &[(Field, &str, &[&str], Kind)] = &[
    (Field::Port, "port", &["service"], Kind::Number),
    (Field::Local, "local", &[], Kind::Number),
    (Field::Remote, "remote", &[], Kind::Number),
    (Field::Direction, "direction", &["dir"], Kind::Text),
    (Field::State, "state", &[], Kind::Text),
    (Field::Comm, "comm", &["process"], Kind::Text),
    (Field::Pid, "pid", &[], Kind::Number),
    (Field::Relid, "relid", &[], Kind::Number),
    (Field::Id, "id", &[], Kind::Text),
    (Field::Guid, "guid", &[], Kind::Text),
    (Field::Tx, "tx", &[], Kind::Bytes),
    (Field::Rx, "rx", &[], Kind::Bytes),
    (Field::TxBytes, "tx_bytes", &[], Kind::Bytes),
    (Field::RxBytes, "rx_bytes", &[], Kind::Bytes),
    (Field::Out, "out", &[], Kind::Number),
    (Field::In, "in", &[], Kind::Number),
    (Field::Stalls, "stalls", &[], Kind::Number),
    (Field::Stalled, "stalled", &[], Kind::Time),
    (Field::Eagain, "eagain", &[], Kind::Number),
    (Field::Open, "open", &[], Kind::Time),
    (Field::Age, "age", &[], Kind::Time),
    (Field::Event, "event", &[], Kind::Text),
    (Field::Why, "why", &[], Kind::Text),
    (Field::Errno, "errno", &[], Kind::Number),
];

impl Field {
    fn named(name: &str) -> Option<(Self, Kind)> {
        let same = |other: &str| other.eq_ignore_ascii_case(name);
        let found = FIELDS.iter().find(|(_, its, others, _)| same(its) || others.iter().any(|o| same(o)));
        found.map(|(field, _, _, kind)| (*field, *kind))
    }
}

/// Why a filter cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// Where, in characters from the beginning.
    pub at: usize,
    /// What is wrong and what would be right.
    pub what: String,
}

#[cfg(test)]
mod tests;
