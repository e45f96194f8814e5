//! What was, for curves. Bounded: memory does not grow with time.

use std::collections::{HashMap, VecDeque};

/// How many Snapshots back curves go.
pub(super) const LENGTH: usize = 240;

/// The last values of something; a gap is a value that was not known.
#[derive(Clone, Debug, Default)]
pub struct Series(VecDeque<Option<f32>>);

impl Series {
    /// Adds the newest.
    pub fn push(&mut self, value: Option<f64>) {
        if self.0.len() == LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(value.map(|v| v as f32));
    }

    /// The last `n`, oldest first.
    pub fn last(&self, n: usize) -> impl Iterator<Item = Option<f64>> + '_ {
        self.0.iter().skip(self.0.len().saturating_sub(n)).map(|v| v.map(f64::from))
    }

    /// The largest of the last `n`.
    pub fn peak(&self, n: usize) -> Option<f64> {
        self.last(n).flatten().reduce(f64::max)
    }

    /// The newest.
    pub fn newest(&self) -> Option<f64> {
        self.0.back().copied().flatten().map(f64::from)
    }

    /// How many there are, at most [`LENGTH`].
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Curves of the guest as a whole.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Bytes sent per second.
    pub tx: Series,
    /// Bytes received per second.
    pub rx: Series,
    /// Opens that succeeded, per second.
    pub opened: Series,
    /// Opens that failed, per second.
    pub failed: Series,
    /// Live connections.
    pub live: Series,
    /// The fullest ring's share, 0 to 1.
    pub fullest: Series,
    /// Senders that wait for room.
    pub stalled: Series,
    /// 99th percentile of the guest's connects since the Snapshot before, ns.
    pub connect_p99: Series,
    /// 99th percentile of waits in a backlog since the Snapshot before, ns.
    pub accept_p99: Series,
    /// By connection id.
    pub connections: HashMap<String, ConnectionHistory>,
}

/// Curves of one connection.
#[derive(Clone, Debug, Default)]
pub struct ConnectionHistory {
    /// Bytes sent per second.
    pub tx: Series,
    /// Bytes received per second.
    pub rx: Series,
    /// The ring to the host, share used, 0 to 1.
    pub out: Series,
    /// The ring from the host, share used, 0 to 1.
    pub inward: Series,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_bounded_and_keeps_gaps() {
        let mut series = Series::default();
        assert_eq!((series.newest(), series.peak(10)), (None, None));
        for n in 0..LENGTH + 10 {
            series.push(Some(n as f64));
        }
        assert_eq!(series.len(), LENGTH);
        assert_eq!(series.last(1).next(), Some(Some((LENGTH + 9) as f64)));
        series.push(None);
        assert_eq!(series.newest(), None, "unknown is not the value before");
        assert_eq!(series.peak(2), Some((LENGTH + 9) as f64));
    }
}
