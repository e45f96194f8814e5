//! What comes to the screen from outside, and what goes back. Whoever collects runs on a thread of its own and never waits for drawing.

use std::time::Duration;

use crate::model::{LifecycleEvent, Snapshot, doctor::Doctor};

/// What comes.
#[derive(Debug)]
pub enum Update {
    /// A Snapshot.
    Snapshot(Box<Snapshot>),
    /// A lifecycle event.
    Event(Box<LifecycleEvent>),
    /// What comes next does not follow from what came before: a recording was wound.
    Reset,
    /// Where a recording is.
    Position(Position),
    /// The kernel cannot be watched, and why.
    Doctor(Box<Doctor>),
    /// Something to be said.
    Notice(String),
    /// Nothing more will come, because of this.
    Failed {
        /// What happened.
        what: String,
        /// What to do.
        remedy: String,
    },
}

/// Where a recording is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Position {
    /// The Snapshot that is shown, counted from 0.
    pub index: usize,
    /// How many there are, as far as the recording has been read.
    pub count: usize,
    /// Whether it has been read to its end.
    pub complete: bool,
    /// Time from the first Snapshot to the one shown, ns.
    pub at_ns: u64,
    /// Time from the first to the last, ns.
    pub length_ns: u64,
    /// Whether it goes on by itself.
    pub playing: bool,
    /// How many times as fast as it was recorded.
    pub speed: f64,
}

/// What goes back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// Time between Snapshots of the live kernel.
    Interval(Duration),
    /// Let the recording go on, or not.
    Play(bool),
    /// Go to that Snapshot; none beyond the last.
    Seek(usize),
    /// How many times as fast.
    Speed(f64),
}

/// The speeds of a recording that keys choose from.
pub const SPEEDS: [f64; 10] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0];

/// The intervals of the live kernel that keys choose from, ms.
pub(super) const INTERVALS_MS: [u64; 8] = [100, 250, 500, 1_000, 2_000, 5_000, 10_000, 60_000];
