//! Why a recording cannot be read, or not to its end; and why it cannot be written.

use std::{fmt, io, path::Path};

use super::VERSION;

/// What is wrong with a recording.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Opening or reading it failed.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a directory.
    #[error("is a directory, not a recording")]
    Directory,
    /// There is nothing in it.
    #[error("is empty")]
    Empty,
    /// It is something else.
    #[error("is not a recording of hvsock-top")]
    NotARecording,
    /// A later version of hvsock-top made it.
    #[error("has version {version} of the {what}; this hvsock-top knows versions up to {known}")]
    Newer {
        /// Of what.
        what: &'static str,
        /// Its version.
        version: u32,
        /// The version we know.
        known: u32,
    },
    /// It ends within a frame, or within its header.
    #[error("is cut off")]
    Truncated,
    /// It is damaged.
    #[error("is damaged ({0})")]
    Corrupt(String),
    /// A frame would take more memory than any frame of a recording does.
    #[error("is damaged or made to do harm: it has a frame of more than {} MiB", super::MAX_FRAME >> 20)]
    TooLarge,
}

/// How much of a recording has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Whole frames.
    pub frames: u64,
    /// Snapshots.
    pub snapshots: u64,
    /// Events.
    pub events: u64,
    /// When the last Snapshot was taken.
    pub until: Option<String>,
    /// Bytes of the file.
    pub offset: u64,
}

/// A recording cannot be read, or not to its end.
#[derive(Debug)]
pub struct ReadError {
    /// The file.
    pub name: String,
    /// What is wrong.
    pub fault: Fault,
    /// What was read before that.
    pub read: Progress,
}

impl ReadError {
    /// What to do.
    pub fn remedy(&self) -> String {
        match &self.fault {
            Fault::Io(error) if error.kind() == io::ErrorKind::NotFound => {
                "check the name; `hvsock-top record -o FILE` makes a recording".to_owned()
            }
            Fault::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                "run it as a user who may read the file".to_owned()
            }
            Fault::Io(_) => "check the disk or network that it is on".to_owned(),
            Fault::Directory | Fault::Empty | Fault::NotARecording => {
                "give a file made by `hvsock-top record -o FILE`".to_owned()
            }
            Fault::Newer { .. } => format!(
                "use the hvsock-top that made it, or a later one; this is {} (format {VERSION})",
                env!("CARGO_PKG_VERSION")
            ),
            Fault::Truncated | Fault::Corrupt(_) | Fault::TooLarge if self.read.frames > 0 => {
                "what could be read is whole and has been used; copy the file again if it was copied"
                    .to_owned()
            }
            Fault::Truncated | Fault::Corrupt(_) | Fault::TooLarge => {
                "nothing in it can be used; copy the file again if it was copied".to_owned()
            }
        }
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let read = &self.read;
        write!(f, "{} {}", self.name, self.fault)?;
        if matches!(self.fault, Fault::Truncated | Fault::Corrupt(_) | Fault::TooLarge)
            || (matches!(self.fault, Fault::Io(_)) && read.offset > 0)
        {
            let s = |n: u64| if n == 1 { "" } else { "s" };
            write!(
                f,
                ": after byte {} nothing could be read; before it {} Snapshot{} and {} event{}",
                read.offset,
                read.snapshots,
                s(read.snapshots),
                read.events,
                s(read.events)
            )?;
            if let Some(until) = &read.until {
                write!(f, ", up to {until}")?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for ReadError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.fault)
    }
}

/// A recording cannot be written.
#[derive(Debug)]
pub struct OutputError {
    /// What happened.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl OutputError {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into() }
    }

    pub(super) fn opening(path: &Path, error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound => "make the folder first, or choose another",
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                "choose a folder that you may write to"
            }
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "make room there, or choose another folder"
            }
            _ => "choose another name or folder",
        };
        Self::new(format!("cannot write {}: {error}", path.display()), remedy)
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for OutputError {}
