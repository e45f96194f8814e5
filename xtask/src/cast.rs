//! Records what a terminal shows, as asciinema does (asciicast v2): `asciinema play FILE` shows it again.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

/// A recording in the making.
pub(crate) struct Cast {
    file: BufWriter<File>,
    began: Instant,
    /// Bytes of a character whose rest has not come yet.
    partial: Vec<u8>,
}

impl Cast {
    /// Begins a recording of a terminal of that size.
    pub(crate) fn begin(path: &Path, rows: u16, columns: u16) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let mut file = BufWriter::new(file);
        writeln!(file, "{}", serde_json::json!({ "version": 2, "width": columns, "height": rows }))?;
        Ok(Self { file, began: Instant::now(), partial: Vec::new() })
    }

    /// Adds what was shown now.
    pub(crate) fn show(&mut self, bytes: &[u8]) -> Result<()> {
        self.partial.extend_from_slice(bytes);
        let text = whole(&mut self.partial);
        if text.is_empty() {
            return Ok(());
        }
        let at = self.began.elapsed().as_secs_f64();
        writeln!(self.file, "{}", serde_json::json!([at, "o", text]))?;
        self.file.flush().context("cannot write the recording")
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
