//! Where a recording goes: a file of our own, possibly bounded, or a stream.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt as _, FileTypeExt as _},
    path::{Path, PathBuf},
};

use super::{
    Header, OutputError,
    lock::lock,
    ring::{Around, Ring},
};

/// Where a recording goes.
pub struct Output {
    pub(super) name: String,
    target: Target,
}

#[expect(clippy::large_enum_variant, reason = "there is one of it")]
enum Target {
    Stream(Box<dyn Write + Send>),
    File(OutputFile),
}

/// A file that holds whole frames only: what was written of one that failed is cut off again.
struct OutputFile {
    path: PathBuf,
    file: File,
    len: u64,
    /// We made it, and it goes again if nothing is written.
    created: bool,
    ring: Option<Ring>,
}

impl Output {
    /// A stream, such as stdout.
    pub fn stream(to: impl Write + Send + 'static, name: impl Into<String>) -> Self {
        Self { name: name.into(), target: Target::Stream(Box::new(to)) }
    }

    /// The file at `path`. If there is one already, `force` says to overwrite it, which happens when the recording begins and not before.
    /// `max_size` bounds the bytes on the disk. A pipe or a device at `path` is a stream.
    pub fn create(path: &Path, force: bool, max_size: Option<u64>) -> Result<Self, OutputError> {
        let name = path.display().to_string();
        let opening = |e: io::Error| OutputError::opening(path, &e);
        let kind = fs::metadata(path).ok().map(|m| m.file_type());
        if kind.is_some_and(|k| k.is_dir()) {
            return Err(OutputError::new(format!("{name} is a directory"), "give the name of a file"));
        }
        if kind.is_some_and(|k| k.is_fifo() || k.is_char_device()) {
            if max_size.is_some() {
                return Err(OutputError::new(
                    format!("{name} is a pipe or a device, of which nothing can be taken back"),
                    "leave out --max-size, or give the name of a file",
                ));
            }
            let stream = OpenOptions::new().write(true).open(path).map_err(opening)?;
            return Ok(Self::stream(stream, name));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        let file = if kind.is_some() && force {
            options.open(path)
        } else {
            // Not through a link that somebody else has laid there.
            options.create_new(true).open(path)
        };
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => OutputError::new(
                format!("{name} exists already"),
                "choose another name, or say --force to overwrite it",
            ),
            _ => opening(error),
        })?;
        lock(&file, &name)?;
        Ok(Self {
            name,
            target: Target::File(OutputFile {
                path: path.to_owned(),
                file,
                len: 0,
                created: kind.is_none(),
                ring: max_size.map(Ring::new),
            }),
        })
    }

    /// Whether a bounded recording could be renewed in its folder now. Nothing is left there.
    pub fn try_folder(&self) -> io::Result<()> {
        match &self.target {
            Target::File(OutputFile { path, ring: Some(_), .. }) => Ring::try_folder(path),
            _ => Ok(()),
        }
    }

    /// Does whatever needs permission for the folder inside `around`.
    pub fn with(&mut self, around: Around) {
        if let Target::File(OutputFile { ring: Some(ring), .. }) = &mut self.target {
            ring.around = around;
        }
    }

    /// Writes the header.
    pub(super) fn begin(&mut self, mut header: Header) -> Result<(), OutputError> {
        let file = match &mut self.target {
            Target::Stream(_) => None,
            Target::File(file) => {
                header.max_size_bytes = file.ring.as_ref().map(|r| r.max);
                file.file.set_len(0).map_err(|e| OutputError::opening(&file.path, &e))?;
                Some(file)
            }
        };
        let frame = header.encode().map_err(|e| self_error(&self.name, &e.into()))?;
        if let Some(file) = file
            && let Some(ring) = &mut file.ring
        {
            ring.begin(header, frame.len() as u64);
        }
        self.write(&frame)
    }

    /// Appends a frame that holds so many Snapshots. After an error the file ends with the frame before.
    pub(super) fn append(&mut self, frame: &[u8], snapshots: u64) -> Result<(), OutputError> {
        if let Target::File(OutputFile { path, file, len, ring: Some(ring), .. }) = &mut self.target {
            ring.make_room(path, file, len, frame.len() as u64)?;
        }
        self.write(frame)?;
        if let Target::File(OutputFile { ring: Some(ring), .. }) = &mut self.target {
            ring.push(frame.len() as u64, snapshots);
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), OutputError> {
        match &mut self.target {
            Target::Stream(to) => to.write_all(bytes).and_then(|()| to.flush()),
            Target::File(OutputFile { file, len, .. }) => {
                let written = file.write_all_at(bytes, *len);
                match &written {
                    Ok(()) => *len += bytes.len() as u64,
                    // A reader stops at a torn frame anyhow; so a failure here loses nothing either.
                    Err(_) => drop(file.set_len(*len)),
                }
                written
            }
        }
        .map_err(|e| self_error(&self.name, &e))
    }

    /// Makes sure that it is on the disk; says how many bytes there are. `None`: a stream.
    pub(super) fn finish(&mut self) -> Result<Option<u64>, OutputError> {
        match &self.target {
            Target::Stream(_) => Ok(None),
            Target::File(file) => {
                file.file.sync_all().map_err(|e| self_error(&self.name, &e))?;
                Ok(Some(file.len))
            }
        }
    }
}

fn self_error(name: &str, error: &io::Error) -> OutputError {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room there, or bound the recording with --max-size; all before this is whole and can be replayed"
        }
        io::ErrorKind::BrokenPipe => {
            "whoever read it has ended; what it has read is whole up to its last frame"
        }
        _ => "check the disk or network that it is on; all before this is whole and can be replayed",
    };
    OutputError::new(format!("cannot write to {name} any more: {error}"), remedy)
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if self.created && self.len == 0 {
            let path = &self.path;
            let mut remove = || fs::remove_file(path);
            // An empty file is a blemish, not a failure.
            let _ = match &self.ring {
                Some(ring) => (ring.around)(&mut remove),
                None => remove(),
            };
        }
    }
}
