//! Writing a recording: one zstd frame, with a checksum, for each Snapshot and the events before it.

use serde::Serialize;
use zstd::{bulk::Compressor, stream::raw::CParameter};

use super::{End, Header, MAX_FRAME, Output, OutputError};
use crate::model::{LifecycleEvent, Snapshot};

/// zstd's own default: higher levels cost more time than they save room here.
const LEVEL: i32 = 3;

/// Events are written at the latest when they take so much, without waiting for a Snapshot.
const BATCH: usize = 1 << 20;

/// Writes a recording.
pub struct Writer {
    output: Output,
    compressor: Compressor<'static>,
    lines: Vec<u8>,
    /// Of the frame at hand.
    pending: Counts,
    /// In whole frames.
    written: Counts,
}

/// How much there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Snapshots.
    pub snapshots: u64,
    /// Events.
    pub events: u64,
}

/// As [`super::Record`], without owning it.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Line<'a> {
    Snapshot(&'a Snapshot),
    Event(&'a LifecycleEvent),
    End(&'a End),
}

impl Writer {
    /// Writes the header.
    pub fn begin(mut output: Output, header: Header) -> Result<Self, OutputError> {
        let new = || {
            let mut compressor = Compressor::new(LEVEL)?;
            compressor.set_parameter(CParameter::ChecksumFlag(true))?;
            Ok(compressor)
        };
        let compressor = new().map_err(|e: std::io::Error| internal(&e))?;
        output.begin(header)?;
        Ok(Self {
            output,
            compressor,
            lines: Vec::new(),
            pending: Counts::default(),
            written: Counts::default(),
        })
    }

    /// Adds an event to the frame at hand.
    pub fn event(&mut self, event: &LifecycleEvent) -> Result<(), OutputError> {
        self.line(&Line::Event(event))?;
        self.pending.events += 1;
        if self.lines.len() >= BATCH { self.flush() } else { Ok(()) }
    }

    /// Adds a Snapshot and writes the frame.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), OutputError> {
        self.line(&Line::Snapshot(snapshot))?;
        self.pending.snapshots += 1;
        self.flush()
    }

    /// Writes the frame at hand if there is anything in it.
    pub fn flush(&mut self) -> Result<(), OutputError> {
        if self.lines.is_empty() {
            return Ok(());
        }
        if self.lines.len() >= MAX_FRAME {
            return Err(internal(&format!("{} bytes in one frame", self.lines.len())));
        }
        let frame = self.compressor.compress(&self.lines).map_err(|e| internal(&e))?;
        self.output.append(&frame, self.pending.snapshots)?;
        self.lines.clear();
        self.written.snapshots += self.pending.snapshots;
        self.written.events += self.pending.events;
        self.pending = Counts::default();
        Ok(())
    }

    /// What is in whole frames, those dropped since among them.
    pub fn written(&self) -> Counts {
        self.written
    }

    /// Writes the last line and makes sure that all is on the disk. Says how many bytes there are; `None`: a stream.
    pub fn end(&mut self, end: &End) -> Result<Option<u64>, OutputError> {
        self.line(&Line::End(end))?;
        self.flush()?;
        self.output.finish()
    }

    /// Where it goes.
    pub fn name(&self) -> &str {
        &self.output.name
    }

    fn line(&mut self, line: &Line<'_>) -> Result<(), OutputError> {
        serde_json::to_writer(&mut self.lines, line).map_err(|e| internal(&e))?;
        self.lines.push(b'\n');
        Ok(())
    }
}

fn internal(error: &dyn std::fmt::Display) -> OutputError {
    OutputError::new(
        format!("a frame of the recording cannot be made: {error}"),
        "this should not happen; please report it; all before this is whole",
    )
}
