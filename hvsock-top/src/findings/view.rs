//! What a rule sees.

use super::{Limits, activity::Activity};
use crate::model::{Direction, Listener, Port, Snapshot};

/// The Snapshots to compare with: two, so that one of them is always at least half the window old, and none older than it.
pub(super) struct Window {
    half_ns: u64,
    older: Option<Snapshot>,
    newer: Option<Snapshot>,
}

impl Window {
    pub(super) fn new(window_ms: u64) -> Self {
        Self { half_ns: window_ms * 500_000, older: None, newer: None }
    }

    /// The one to compare `now` with.
    pub(super) fn older(&self, now: &Snapshot) -> Option<&Snapshot> {
        // A recording may begin anew: nothing can be compared across that.
        self.older.as_ref().filter(|older| older.tool.pid == now.tool.pid && older.uptime_ns < now.uptime_ns)
    }

    /// Keeps `now`, if it is time for it.
    pub(super) fn keep(&mut self, now: &Snapshot) {
        let continues =
            self.newer.as_ref().is_some_and(|n| n.tool.pid == now.tool.pid && n.uptime_ns <= now.uptime_ns);
        if !continues {
            self.older = Some(now.clone());
            self.newer = Some(now.clone());
        } else if self.newer.as_ref().is_some_and(|n| now.uptime_ns - n.uptime_ns >= self.half_ns) {
            self.older = self.newer.replace(now.clone());
        }
    }
}

/// The newest Snapshot, an older one, and what else a rule needs.
pub struct View<'a> {
    /// The newest.
    pub now: &'a Snapshot,
    /// One from the window's begin; `None` at first.
    pub then: Option<&'a Snapshot>,
    /// The thresholds.
    pub limits: &'a Limits,
    pub(super) activity: &'a Activity,
}

impl<'a> View<'a> {
    pub(super) fn new(
        now: &'a Snapshot,
        then: Option<&'a Snapshot>,
        limits: &'a Limits,
        activity: &'a Activity,
    ) -> Self {
        Self { now, then, limits, activity }
    }

    /// Seconds between the two.
    pub(super) fn seconds(&self) -> f64 {
        self.then.map_or(0.0, |then| (self.now.uptime_ns - then.uptime_ns) as f64 / 1e9)
    }

    /// By how much a counter has grown; `None` when it is not known at one end or the other.
    pub(super) fn grown(&self, counter: impl Fn(&Snapshot) -> Option<u64>) -> Option<u64> {
        counter(self.now)?.checked_sub(counter(self.then?)?)
    }

    /// The same of a port's. A port that was not there has counted nothing.
    pub(super) fn port_grown(&self, port: &Port, counter: impl Fn(&Port) -> Option<u64>) -> Option<u64> {
        let same = |p: &&Port| p.port == port.port && p.direction == port.direction;
        let then = self.then?.ports.iter().find(same).map_or(Some(0), &counter);
        counter(port)?.checked_sub(then?)
    }

    /// The same of a listener's.
    pub(super) fn listener_grown(
        &self,
        listener: &Listener,
        counter: impl Fn(&Listener) -> Option<u64>,
    ) -> Option<u64> {
        let then = self.then?.listeners.iter().find(|l| l.port == listener.port).map_or(Some(0), &counter);
        counter(listener)?.checked_sub(then?)
    }

    /// Ports that the guest connects to, or those that the host connects to.
    pub(super) fn ports(&self, direction: Direction) -> impl Iterator<Item = &'a Port> {
        self.now.ports.iter().filter(move |port| port.direction == direction)
    }
}
