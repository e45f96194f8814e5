//! When each connection last did anything, and when its reader last read.

use std::collections::HashMap;

use crate::model::{Connection, Snapshot};

/// Since when a count has stood still.
#[derive(Clone, Copy, Debug)]
struct Still {
    count: u64,
    since_ns: u64,
}

impl Still {
    fn update(&mut self, count: u64, now_ns: u64) {
        if self.count != count {
            *self = Self { count, since_ns: now_ns };
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    all: Still,
    reads: Still,
    /// Since when there has been something to read.
    unread_since_ns: Option<u64>,
}

/// What live connections do. Forgets those that are gone.
#[derive(Default)]
pub(super) struct Activity {
    seen: HashMap<String, Seen>,
}

impl Activity {
    /// Looks at the newest Snapshot.
    pub(super) fn update(&mut self, now: &Snapshot) {
        let mut seen = HashMap::with_capacity(now.connections.len());
        for connection in &now.connections {
            let Some((all, reads)) = counts(connection) else { continue };
            let new = |count| Still { count, since_ns: now.uptime_ns };
            let mut entry = self.seen.remove(&connection.id).unwrap_or(Seen {
                all: new(all),
                reads: new(reads),
                unread_since_ns: None,
            });
            entry.all.update(all, now.uptime_ns);
            entry.reads.update(reads, now.uptime_ns);
            let unread = connection.rings.incoming.used_bytes.is_some_and(|used| used > 0);
            entry.unread_since_ns = unread.then(|| entry.unread_since_ns.unwrap_or(now.uptime_ns));
            seen.insert(connection.id.clone(), entry);
        }
        self.seen = seen;
    }

    /// How long nothing has been seen to happen on it, neither sent nor received nor interrupted. `None`: not known.
    pub(super) fn idle_ns(&self, connection: &Connection, now: &Snapshot) -> Option<u64> {
        self.seen.get(&connection.id).map(|seen| now.uptime_ns.saturating_sub(seen.all.since_ns))
    }

    /// How long something to read has been there while nobody has read anything. `None`: not so, or not known.
    pub(super) fn unread_ns(&self, connection: &Connection, now: &Snapshot) -> Option<u64> {
        let seen = self.seen.get(&connection.id)?;
        let since = seen.unread_since_ns?.max(seen.reads.since_ns);
        Some(now.uptime_ns.saturating_sub(since))
    }
}

/// All that a connection has done, and its reads.
fn counts(connection: &Connection) -> Option<(u64, u64)> {
    let reads = connection.rx.calls?;
    Some((reads + connection.tx.calls? + connection.callbacks.count?, connection.rx.bytes? + reads))
}
