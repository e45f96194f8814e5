//! Kernel records become Snapshots: reading slots and counters, naming processes, keeping the sums honest.
//!
//! Depends on `kernel` for the maps and on `model` for what comes out.

mod attached;
mod clock;
mod connections;
mod counters;
mod doctor;
mod events;
mod guid;
mod listeners;
mod live;
mod lookup;
mod name;
mod older;
mod pace;
mod ports;
mod problems;
mod slots;
mod system;
mod together;
mod totals;
mod untold;
mod vmbus;

pub use doctor::examine;
pub use events::Events;
pub use live::{Live, LiveOptions};
