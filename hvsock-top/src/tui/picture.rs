//! All that a frame shows of the guest: the newest Snapshot, and what only several of them tell.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
};

use super::{
    derive,
    history::{ConnectionHistory, History},
};
use crate::model::{Connection, Histogram, LifecycleEvent, Snapshot};

/// How long a connection that has gone is still shown, ns of the guest's time.
const LINGER_NS: u64 = 10_000_000_000;
/// No more of them are.
const LINGERING: usize = 256;
/// Events that are kept.
const EVENTS: usize = 5_000;
/// The window over which latency is shown anew, ns.
pub(super) const WINDOW_NS: u64 = 10_000_000_000;
/// Older distributions are kept at most so many times in a window.
const WINDOW_PARTS: u64 = 10;

/// Histograms by name.
pub(super) type Distributions = BTreeMap<String, Option<Histogram>>;

/// What a connection does per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Bytes sent.
    pub tx: Option<f64>,
    /// Bytes received.
    pub rx: Option<f64>,
}

/// What the guest does per second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GuestRates {
    /// Bytes sent.
    pub tx: Option<f64>,
    /// Bytes received.
    pub rx: Option<f64>,
    /// Opens that succeeded.
    pub opened: Option<f64>,
    /// Opens that failed.
    pub failed: Option<f64>,
    /// Connections that listeners lost.
    pub drops: Option<f64>,
    /// CPU time of the tool, as a share of one CPU.
    pub cpu: Option<f64>,
}

/// A connection that is shown.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// Its newest, or last, state.
    pub connection: &'a Connection,
    /// What it does per second; of one that has gone, nothing is known.
    pub rates: Rates,
    /// How long it has been gone at least, ns; `None`: it is alive.
    pub gone_for_ns: Option<u64>,
}

#[derive(Clone, Debug)]
struct Gone {
    connection: Connection,
    /// The guest's uptime when it was missed.
    at_ns: u64,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Picture {
    /// The newest Snapshot; `None`: there was none yet.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What the guest does per second.
    pub rates: GuestRates,
    /// Curves.
    pub history: History,
    /// The newest events, oldest first, each with its number.
    pub events: VecDeque<(u64, Arc<LifecycleEvent>)>,
    /// How many events came before the first of `events`.
    pub events_before: u64,
    /// Of each connection of the Snapshot, in its order.
    connection_rates: Vec<Rates>,
    gone: VecDeque<Gone>,
    older: VecDeque<(u64, Arc<Distributions>)>,
}

impl Picture {
    /// Forgets all: what comes next does not follow from what came before.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adds an event.
    pub fn event(&mut self, event: LifecycleEvent) {
        if self.events.len() == EVENTS {
            self.events.pop_front();
            self.events_before += 1;
        }
        let number = self.events_before + self.events.len() as u64;
        self.events.push_back((number, Arc::new(event)));
    }

    /// Adds a Snapshot.
    pub fn snapshot(&mut self, now: Snapshot) {
        let before = self.snapshot.take().filter(|before| {
            // The tool was started anew, or a recording begins again: nothing can be compared across that.
            before.tool.pid == now.tool.pid && before.uptime_ns <= now.uptime_ns
        });
        if before.is_none() {
            let events = std::mem::take(&mut self.events);
            *self = Self { events, events_before: self.events_before, ..Self::default() };
        }
        let seconds = before.as_ref().map_or(0.0, |b| (now.uptime_ns - b.uptime_ns) as f64 / 1e9);
        let per_second = |now: Option<u64>, before: Option<u64>| {
            (seconds > 0.0).then(|| Some(now?.saturating_sub(before?) as f64 / seconds)).flatten()
        };
        let old: HashMap<&str, &Connection> =
            before.iter().flat_map(|b| &b.connections).map(|c| (c.id.as_str(), c)).collect();
        self.connection_rates = now
            .connections
            .iter()
            .map(|c| match old.get(c.id.as_str()) {
                Some(old) => Rates {
                    tx: per_second(c.tx.bytes, old.tx.bytes),
                    rx: per_second(c.rx.bytes, old.rx.bytes),
                },
                // One that was opened since has carried all of it since.
                None if c.known_since_start => {
                    Rates { tx: per_second(c.tx.bytes, Some(0)), rx: per_second(c.rx.bytes, Some(0)) }
                }
                None => Rates::default(),
            })
            .collect();
        drop(old);
        let total =
            |of: &dyn Fn(&Snapshot) -> Option<u64>| per_second(of(&now), before.as_deref().and_then(of));
        self.rates = GuestRates {
            tx: total(&|s| s.totals.traffic.tx_bytes),
            rx: total(&|s| s.totals.traffic.rx_bytes),
            opened: total(&|s| derive::opened(s).exact()),
            failed: total(&|s| derive::failed(s).exact()),
            drops: total(&|s| derive::drops(s).exact()),
            cpu: total(&|s| s.tool.cpu_ns).map(|ns| ns / 1e9),
        };
        self.linger(before.as_deref(), &now);
        self.remember(before.as_deref(), &now);
        self.snapshot = Some(Arc::new(now));
    }

    /// Connections that are gone stay for a while.
    fn linger(&mut self, before: Option<&Snapshot>, now: &Snapshot) {
        let alive: std::collections::HashSet<&str> = now.connections.iter().map(|c| c.id.as_str()).collect();
        for connection in before.iter().flat_map(|b| &b.connections) {
            if !alive.contains(connection.id.as_str()) {
                if self.gone.len() == LINGERING {
                    self.gone.pop_front();
                }
                self.gone.push_back(Gone { connection: connection.clone(), at_ns: now.uptime_ns });
            }
        }
        self.gone.retain(|gone| now.uptime_ns.saturating_sub(gone.at_ns) < LINGER_NS);
        let gone = &self.gone;
        self.history
            .connections
            .retain(|id, _| alive.contains(id.as_str()) || gone.iter().any(|gone| gone.connection.id == *id));
    }

    /// Curves and older distributions.
    fn remember(&mut self, before: Option<&Snapshot>, now: &Snapshot) {
        let history = &mut self.history;
        let since = |name: &str| {
            let newest = derive::histogram(now, name)?;
            newest.since(derive::histogram(before?, name)?).p99_ns.map(|ns| ns as f64)
        };
        history.tx.push(self.rates.tx);
        history.rx.push(self.rates.rx);
        history.opened.push(self.rates.opened);
        history.failed.push(self.rates.failed);
        history.live.push(now.totals.live_connections.map(|n| n as f64));
        let shares = |c: &Connection| [derive::out_share(c), derive::in_share(c)];
        history.fullest.push(now.connections.iter().flat_map(shares).flatten().reduce(f64::max));
        history.stalled.push(derive::stalled(now).map(|n| n as f64));
        history.connect_p99.push(since("connect"));
        history.accept_p99.push(since("accept_wait"));
        for (connection, rates) in now.connections.iter().zip(&self.connection_rates) {
            if !history.connections.contains_key(&connection.id) {
                history.connections.insert(connection.id.clone(), ConnectionHistory::default());
            }
            if let Some(curves) = history.connections.get_mut(&connection.id) {
                curves.tx.push(rates.tx);
                curves.rx.push(rates.rx);
                curves.out.push(derive::out_share(connection));
                curves.inward.push(derive::in_share(connection));
            }
        }
        let is_time = self
            .older
            .back()
            .is_none_or(|(at, _)| now.uptime_ns.saturating_sub(*at) >= WINDOW_NS / WINDOW_PARTS);
        if is_time {
            self.older.push_back((now.uptime_ns, Arc::new(now.latency.clone())));
        }
        // The first must be as old as the window, if there is one so old.
        while self.older.get(1).is_some_and(|(at, _)| now.uptime_ns.saturating_sub(*at) >= WINDOW_NS) {
            self.older.pop_front();
        }
    }

    /// All connections that are shown: those of the Snapshot, then those that are gone.
    pub fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        let live = self.snapshot.iter().flat_map(|s| &s.connections).zip(&self.connection_rates);
        let live = live.map(|(connection, rates)| Row { connection, rates: *rates, gone_for_ns: None });
        let uptime = self.snapshot.as_ref().map_or(0, |s| s.uptime_ns);
        let gone = self.gone.iter().rev().map(move |gone| Row {
            connection: &gone.connection,
            rates: Rates::default(),
            gone_for_ns: Some(uptime.saturating_sub(gone.at_ns)),
        });
        live.chain(gone)
    }

    /// The connection of that id.
    pub fn row(&self, id: &str) -> Option<Row<'_>> {
        self.rows().find(|row| row.connection.id == id)
    }

    /// What was added to a histogram in the last [`WINDOW_NS`] or a little more, and over how much time; `None` when it is not measured.
    pub fn recent(&self, name: &str) -> Option<(Histogram, u64)> {
        let now = self.snapshot.as_ref()?;
        let newest = now.latency.get(name)?.as_ref()?;
        let (at, older) = self.older.front()?;
        let older = older.get(name).and_then(Option::as_ref);
        let fresh = older.map_or_else(|| newest.clone(), |older| newest.since(older));
        Some((fresh, now.uptime_ns.saturating_sub(*at)))
    }
}
