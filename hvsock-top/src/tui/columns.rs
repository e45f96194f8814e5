//! The columns of the table of connections: what they show, and how they sort.

use std::{borrow::Cow, cmp::Ordering};

use super::{
    derive, format,
    picture::Row,
    theme::Role,
    widgets::{
        bars,
        grid::{Cell, Column},
    },
    words,
};
use crate::model::State;

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Which {
    /// Where in its life.
    State,
    /// Who has it.
    Process,
    /// Who asked for it.
    Direction,
    /// The service's port.
    Port,
    /// Bytes sent per second.
    Tx,
    /// Bytes received per second.
    Rx,
    /// The ring to the host.
    Out,
    /// The ring from the host.
    In,
    /// Times a sender had to wait.
    Stalls,
    /// How long a sender waits now.
    Stalled,
    /// How long the open took.
    Open,
    /// How long it has been established.
    Age,
    /// Bytes sent.
    TxBytes,
    /// Bytes received.
    RxBytes,
    /// The other end's port.
    Peer,
    /// The channel's number.
    Relid,
    /// Channel callbacks.
    Callbacks,
    /// How long readers have waited.
    Waited,
    /// Sends that ended with EAGAIN.
    Eagain,
    /// The wait to be accepted.
    Accept,
    /// The id.
    Id,
}

/// All of them, in their order on the screen.
pub(super) const ALL: [Which; 21] = [
    Which::State,
    Which::Process,
    Which::Direction,
    Which::Port,
    Which::Tx,
    Which::Rx,
    Which::Out,
    Which::In,
    Which::Stalls,
    Which::Stalled,
    Which::Open,
    Which::Age,
    Which::TxBytes,
    Which::RxBytes,
    Which::Peer,
    Which::Relid,
    Which::Callbacks,
    Which::Waited,
    Which::Eagain,
    Which::Accept,
    Which::Id,
];

/// How the table draws them. In the order of [`ALL`].
pub(super) const COLUMNS: [Column; 21] = [
    Column::text("STATE", 9, 9, 0),
    Column::text("PROCESS", 12, 32, 0),
    Column::text("HOST", 4, 4, 1),
    Column::port("PORT", 0),
    Column::number("TX/s", 8, 0),
    Column::number("RX/s", 8, 0),
    Column::text("OUT RING", 9, 9, 0),
    Column::text("IN RING", 9, 9, 4),
    Column::number("STALLS", 6, 2),
    Column::number("STALLED", 7, 3),
    Column::number("OPEN", 7, 5),
    Column::number("AGE", 6, 0),
    Column::number("TX TOTAL", 8, 6),
    Column::number("RX TOTAL", 8, 6),
    Column::number("PEER PORT", 10, 7),
    Column::number("RELID", 5, 8),
    Column::number("CALLBACKS", 9, 9),
    Column::number("READ WAIT", 9, 9),
    Column::number("EAGAIN", 6, 10),
    Column::number("ACCEPT", 7, 10),
    Column::text("ID", 8, 24, 11),
];

/// What rows are sorted by. What is not known comes last, whichever way.
#[derive(Clone, Debug, PartialEq)]
pub enum Rank<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// Unknown.
    Unknown,
}

impl Rank<'_> {
    fn of(value: Option<u64>) -> Self {
        value.map_or(Self::Unknown, |n| Self::Number(n as f64))
    }

    fn real(value: Option<f64>) -> Self {
        value.map_or(Self::Unknown, Self::Number)
    }

    /// The order of two, descending or not.
    pub fn order(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Unknown, Self::Unknown) => return Ordering::Equal,
            (Self::Unknown, _) => return Ordering::Greater,
            (_, Self::Unknown) => return Ordering::Less,
            (Self::Number(a), Self::Number(b)) => a.total_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        };
        if descending { order.reverse() } else { order }
    }
}

impl Which {
    /// Its title.
    pub fn title(self) -> &'static str {
        ALL.iter().position(|w| *w == self).map_or("", |at| COLUMNS[at].title)
    }

    /// Whether the interesting end is the large one.
    pub fn descends(self) -> bool {
        !matches!(
            self,
            Self::State | Self::Process | Self::Direction | Self::Port | Self::Peer | Self::Relid | Self::Id
        )
    }

    /// What a row is sorted by.
    pub fn rank<'a>(self, row: &Row<'a>) -> Rank<'a> {
        let c = row.connection;
        match self {
            Self::State if row.gone_for_ns.is_some() => Rank::Text("~gone".into()),
            Self::State => c.state.map_or(Rank::Unknown, |s| Rank::Text(words::state(s).into())),
            Self::Process => c.comm.as_deref().map_or(Rank::Unknown, |comm| Rank::Text(comm.into())),
            Self::Direction => c.direction.map_or(Rank::Unknown, |d| Rank::Text(words::direction(d).into())),
            Self::Port => Rank::of(derive::service_port(c).map(u64::from)),
            Self::Peer => Rank::of(derive::peer_port(c).map(u64::from)),
            Self::Tx => Rank::real(row.rates.tx),
            Self::Rx => Rank::real(row.rates.rx),
            Self::Out => Rank::real(derive::out_share(c)),
            Self::In => Rank::real(derive::in_share(c)),
            Self::Stalls => Rank::of(c.tx.stalls),
            Self::Stalled => Rank::of(c.tx.stalled_for_ns),
            Self::Open => Rank::of(derive::open_ns(c)),
            Self::Age => Rank::of(c.age_ns),
            Self::TxBytes => Rank::of(c.tx.bytes),
            Self::RxBytes => Rank::of(c.rx.bytes),
            Self::Relid => Rank::Number(c.relid.into()),
            Self::Callbacks => Rank::of(c.callbacks.count),
            Self::Waited => Rank::of(c.rx.wait_ns),
            Self::Eagain => Rank::of(c.tx.eagain),
            Self::Accept => Rank::of(c.latency.accept_wait_ns),
            Self::Id => Rank::Text(c.id.as_str().into()),
        }
    }

    /// What a row shows.
    pub fn cell(self, row: &Row<'_>) -> Cell {
        let c = row.connection;
        let time = |ns: Option<u64>| Cell::known(ns, format::duration);
        let size = |n: Option<u64>| Cell::known(n, format::bytes);
        let number = |n: Option<u32>| Cell::known(n, |n| n.to_string());
        match self {
            Self::State => match row.gone_for_ns {
                Some(ns) => Cell::with(format!("gone {}", format::age(ns)), Role::Dim),
                None => state(c.state),
            },
            Self::Process => Cell::new(words::process(c.comm.as_deref(), c.pid)),
            Self::Direction => Cell::known(c.direction, |d| words::short_direction(d).to_owned()),
            Self::Port => number(derive::service_port(c)),
            Self::Peer => number(derive::peer_port(c)),
            Self::Tx => rate(row.rates.tx, Role::Tx),
            Self::Rx => rate(row.rates.rx, Role::Rx),
            Self::Out => gauge(derive::out_share(c)),
            Self::In => gauge(derive::in_share(c)),
            Self::Stalls => Cell::alarm(c.tx.stalls, Role::Warn),
            Self::Stalled => match c.tx.stalled_for_ns {
                Some(0) => Cell::with("·", Role::Dim),
                other => Cell { role: Role::Bad, ..time(other) },
            },
            Self::Open => time(derive::open_ns(c)),
            Self::Age => Cell::known(c.age_ns, format::age),
            Self::TxBytes => size(c.tx.bytes),
            Self::RxBytes => size(c.rx.bytes),
            Self::Relid => Cell::new(c.relid.to_string()),
            Self::Callbacks => Cell::known(c.callbacks.count, format::count),
            Self::Waited => time(c.rx.wait_ns),
            Self::Eagain => Cell::alarm(c.tx.eagain, Role::Warn),
            Self::Accept => time(c.latency.accept_wait_ns),
            Self::Id => Cell::new(c.id.clone()),
        }
    }
}

/// A state, and how it looks.
pub(super) fn state(state: Option<State>) -> Cell {
    let role = match state {
        Some(State::Established) => Role::Good,
        Some(State::Opening) => Role::Accent,
        Some(State::Closing | State::Rescinded) => Role::Warn,
        Some(State::Closed) | None => Role::Dim,
    };
    Cell { role, ..Cell::known(state, |s| words::short_state(s).to_owned()) }
}

fn rate(rate: Option<f64>, role: Role) -> Cell {
    let role = if rate == Some(0.0) { Role::Dim } else { role };
    match rate {
        Some(_) => Cell { role, ..Cell::known(rate, |n| format::bytes(n.round() as u64)) },
        None => Cell::known(rate, |_| String::new()),
    }
}

/// A small bar with its number.
pub(super) fn gauge(share: Option<f64>) -> Cell {
    let role = match share {
        Some(s) if s >= 0.9 => Role::Bad,
        Some(s) if s >= 0.6 => Role::Warn,
        Some(s) if s > 0.0 => Role::Good,
        _ => Role::Dim,
    };
    Cell { role, ..Cell::known(share, |s| format!("{}{:>5}", bars::bar(s, 4), format::percent(s))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{model::Connection, tui::picture::Rates};

    #[test]
    fn unknown_comes_last_whichever_way() {
        let (one, two) = (Rank::Number(1.0), Rank::Number(2.0));
        for descending in [false, true] {
            assert_eq!(one.order(&Rank::Unknown, descending), Ordering::Less);
            assert_eq!(Rank::Unknown.order(&two, descending), Ordering::Greater);
        }
        assert_eq!(one.order(&two, true), Ordering::Greater);
    }

    #[test]
    fn nothing_unknown_is_shown_as_zero() {
        let mut connection = Connection::blank(1, 5000);
        connection.direction = None;
        connection.local_port = None;
        connection.remote_port = None;
        connection.state = None;
        (connection.pid, connection.comm, connection.age_ns) = (None, None, None);
        connection.tx = crate::model::Sent {
            bytes: None,
            packets: None,
            calls: None,
            short_writes: None,
            eagain: None,
            failed_writes: None,
            stalls: None,
            stall_ns: None,
            stalled_for_ns: None,
            last_error: None,
        };
        connection.rx.bytes = None;
        connection.rx.wait_ns = None;
        connection.callbacks.count = None;
        connection.rings.outgoing.used_bytes = None;
        connection.rings.incoming.size_bytes = None;
        let row = Row { connection: &connection, rates: Rates::default(), gone_for_ns: None };
        for which in ALL {
            if !matches!(which, Which::Relid | Which::Id) {
                assert_eq!(which.cell(&row).text, format::UNKNOWN, "{which:?}");
                assert_eq!(which.rank(&row), Rank::Unknown, "{which:?}");
            }
        }
    }
}
