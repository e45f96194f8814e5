//! Recordings: writing Snapshots and events to a file, reading them back, comparing two.
//!
//! docs/recording.md specifies the format. Depends on `model` alone: a recording is written and read without a kernel at hand.

pub mod diff;
mod error;
mod format;
mod lock;
mod output;
mod reader;
mod replay;
mod ring;
#[cfg(test)]
mod tests;
mod writer;

pub use error::{Fault, OutputError, Progress, ReadError};
pub use format::{End, Header, MAX_FRAME, Record, VERSION};
pub use output::Output;
pub use reader::Reader;
pub use replay::Replay;
pub use ring::{Around, SMALLEST_RING};
pub use writer::{Counts, Writer};
