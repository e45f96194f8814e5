//! A recording of bounded size keeps its newest part.
//!
//! The file grows to two thirds of the bound at most. When the next frame would not fit, the newest frames, a third of the bound at
//! most, are copied to a file beside it, which is then renamed over it. So both together never exceed the bound, whoever opens the
//! file at any time finds a whole recording, and at least the newest third is there.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::{Header, OutputError, lock::lock};

/// The least bound that can be set.
pub const SMALLEST_RING: u64 = 64 << 10;

/// Does something that needs permission for the folder.
pub type Around = fn(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>;

/// The number of Snapshots dropped takes so many digits more, at most.
const DIGITS: u64 = 20;

/// What is in the file, and its bound.
pub(super) struct Ring {
    pub(super) max: u64,
    pub(super) around: Around,
    header: Option<Header>,
    header_len: u64,
    frames: VecDeque<Frame>,
}

#[derive(Clone, Copy)]
struct Frame {
    len: u64,
    snapshots: u64,
}

impl Ring {
    pub(super) fn new(max: u64) -> Self {
        Self {
            max: max.max(SMALLEST_RING),
            around: |work| work(),
            header: None,
            header_len: 0,
            frames: VecDeque::new(),
        }
    }

    pub(super) fn begin(&mut self, header: Header, len: u64) {
        self.header = Some(header);
        self.header_len = len;
    }

    pub(super) fn push(&mut self, len: u64, snapshots: u64) {
        self.frames.push_back(Frame { len, snapshots });
    }

    /// Makes sure that `room` bytes more stay within the bound.
    pub(super) fn make_room(
        &mut self,
        path: &Path,
        file: &mut File,
        len: &mut u64,
        room: u64,
    ) -> Result<(), OutputError> {
        let third = self.max / 3;
        if room + self.header_len + DIGITS > third {
            return Err(OutputError::new(
                format!(
                    "a Snapshot takes {room} bytes, and a recording of at most {} bytes has no room for it",
                    self.max
                ),
                format!(
                    "say --max-size {} or more; all before this is whole",
                    (room + self.header_len + DIGITS) * 6
                ),
            ));
        }
        if *len + room <= 2 * third {
            return Ok(());
        }
        self.renew(path, file, len, third).map_err(|e| {
            OutputError::new(
                format!("cannot renew {} within its bound: {e}", path.display()),
                "its folder must be writable while a bounded recording goes on; all before this is whole",
            )
        })
    }

    fn renew(&mut self, path: &Path, file: &mut File, len: &mut u64, third: u64) -> io::Result<()> {
        let budget = third.saturating_sub(self.header_len + DIGITS);
        let (mut kept, mut bytes) = (0, 0);
        for frame in self.frames.iter().rev() {
            if bytes + frame.len > budget {
                break;
            }
            bytes += frame.len;
            kept += 1;
        }
        let gone = self.frames.len() - kept;
        let Some(header) = &self.header else { return Ok(()) };
        let mut header = header.clone();
        header.dropped += self.frames.iter().take(gone).map(|f| f.snapshots).sum::<u64>();
        let encoded = header.encode()?;

        let beside = beside(path);
        let mut made = None;
        (self.around)(&mut || {
            made = Some(create(&beside)?);
            Ok(())
        })?;
        let Some(mut new) = made else { return Ok(()) };
        let copied = (|| {
            new.set_permissions(file.metadata()?.permissions())?;
            new.write_all(&encoded)?;
            file.seek(SeekFrom::Start(*len - bytes))?;
            if io::copy(&mut (&*file).take(bytes), &mut new)? < bytes {
                return Err(io::Error::other("somebody else has cut the file"));
            }
            lock(&new, "it").map_err(|e| io::Error::other(e.what))?;
            // Else a power cut might leave the new name with nothing behind it.
            new.sync_data()?;
            (self.around)(&mut || fs::rename(&beside, path))
        })();
        if let Err(error) = copied {
            let _ = (self.around)(&mut || fs::remove_file(&beside));
            return Err(error);
        }
        *file = new;
        self.header_len = encoded.len() as u64;
        *len = self.header_len + bytes;
        self.header = Some(header);
        self.frames.drain(..gone);
        Ok(())
    }

    /// Whether the folder can be written to.
    pub(super) fn try_folder(path: &Path) -> io::Result<()> {
        let beside = beside(path);
        create(&beside)?;
        fs::remove_file(&beside)
    }
}

/// The file that is to become the recording. Always of the same name: one that a kill left behind goes with the next.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".part");
    path.with_file_name(name)
}

fn create(beside: &Path) -> io::Result<File> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().read(true).write(true).create_new(true).open(beside)
}
