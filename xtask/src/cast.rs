//! Records what a terminal shows, as asciinema does (asciicast v2): `asciinema play FILE` shows it again.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What comes within this time is shown together: a serial line brings it byte by byte.
const TOGETHER: Duration = Duration::from_millis(30);

/// A recording in the making.
pub(crate) struct Cast {
    file: BufWriter<File>,
    /// When something was shown first: nobody wants to see a machine boot.
    began: Option<Instant>,
    /// What is not written yet, and since when there is some.
    pending: Vec<u8>,
    since: Option<Instant>,
}

impl Cast {
    /// Begins a recording of a terminal of that size.
    pub(crate) fn begin(path: &Path, rows: u16, columns: u16) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut file = BufWriter::new(file);
        writeln!(file, "{}", serde_json::json!({ "version": 2, "width": columns, "height": rows }))?;
        Ok(Self { file, began: None, pending: Vec::new(), since: None })
    }

    /// Adds what was shown now.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> Result<()> {
        if self.since.is_some_and(|since| since.elapsed() >= TOGETHER) {
            self.write()?;
        }
        self.pending.extend_from_slice(bytes);
        let since = *self.since.get_or_insert_with(Instant::now);
        self.began.get_or_insert(since);
        Ok(())
    }

    /// Writes what has come, but for the beginning of a character whose rest has not.
    fn write(&mut self) -> Result<()> {
        let times = self.since.take().zip(self.began);
        let at = times.map_or(0.0, |(since, began)| (since - began).as_secs_f64());
        let text = whole(&mut self.pending);
        // Each line for itself: however the program ends, what is there can be played.
        writeln!(self.file, "{}", serde_json::json!([at, "o", text]))
            .and_then(|()| self.file.flush())
            .context("cannot write the recording")
    }

    /// Ends the recording.
    pub(crate) fn end(mut self) -> Result<()> {
        self.write()
    }
}

/// Takes the whole characters from the front; what is no text at all becomes a replacement sign.
fn whole(bytes: &mut Vec<u8>) -> String {
    let cut = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let rest = bytes.split_off(cut);
    String::from_utf8_lossy(&std::mem::replace(bytes, rest)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_not_cut() {
        let mut bytes = "a–".as_bytes()[..3].to_vec();
        assert_eq!(whole(&mut bytes), "a");
        bytes.extend_from_slice(&"–".as_bytes()[2..]);
        assert_eq!(whole(&mut bytes), "–");
        let mut broken = vec![0xff, b'b'];
        assert_eq!(whole(&mut broken), "\u{fffd}b");
    }
}
