//! A recording as a Source.

use std::{fs::File, io, path::Path};

use super::{Fault, Header, Progress, ReadError, Reader, Record};
use crate::model::{Snapshot, Source};

/// A recording, from its first Snapshot to its last.
pub struct Replay {
    reader: Reader<Box<dyn io::Read + Send>>,
    ended: bool,
}

impl Replay {
    /// Opens the recording at `path`; `-` is stdin.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        if path == Path::new("-") {
            return Self::new(Box::new(io::stdin()), "stdin");
        }
        let name = path.display().to_string();
        let open = || {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() { Err(Fault::Directory) } else { Ok(file) }
        };
        match open() {
            Ok(file) => Self::new(Box::new(file), name),
            Err(fault) => Err(ReadError { name, fault, read: Progress::default() }),
        }
    }

    /// Reads a recording from anywhere. `name` is what errors call it.
    pub fn new(input: Box<dyn io::Read + Send>, name: impl Into<String>) -> Result<Self, ReadError> {
        Ok(Self { reader: Reader::new(input, name)?, ended: false })
    }

    /// What the recording says of itself.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// How much has been read.
    pub fn progress(&self) -> &Progress {
        self.reader.progress()
    }

    /// Whether the recorder had come to its end, rather than being killed; known once all has been read.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// The next Snapshot or event.
    pub fn record(&mut self) -> Result<Option<Record>, ReadError> {
        let record = self.reader.record()?;
        self.ended |= matches!(record, Some(Record::End(_)));
        Ok(record)
    }
}

impl Source for Replay {
    fn snapshot(&mut self) -> anyhow::Result<Option<Snapshot>> {
        loop {
            match self.record()? {
                Some(Record::Snapshot(snapshot)) => return Ok(Some(*snapshot)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}
