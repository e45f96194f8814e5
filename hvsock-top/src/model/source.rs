//! Where Snapshots come from.

use super::Snapshot;

/// Anything that yields Snapshots: a live kernel, a recording, a made-up one. Every output works from any Source.
pub trait Source {
    /// The next Snapshot: of a live kernel, the state now; of a recording, the one that comes next. `None`: there are no more.
    fn snapshot(&mut self) -> anyhow::Result<Option<Snapshot>>;
}
