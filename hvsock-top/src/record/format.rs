//! What a recording consists of: a header in a skippable zstd frame, then zstd frames of JSON lines.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Fault;
use crate::model::{LifecycleEvent, SCHEMA, Snapshot};

/// Version of the format; grows when readers of the one before could not read it.
pub const VERSION: u32 = 1;

/// No frame holds more than this many bytes of JSON, and no frame may ask for more memory than this to be unpacked: a reader needs no
/// more, whatever is in the file. The largest Snapshot there can be (2,048 connections, 4,096 ports) takes less than half.
pub const MAX_FRAME: usize = 1 << MAX_FRAME_LOG;
pub(super) const MAX_FRAME_LOG: u32 = 24;

/// No header is longer.
pub(super) const MAX_HEADER: usize = 64 << 10;

/// Of the command no more than so many bytes of JSON are kept.
const MAX_COMMAND: usize = 32 << 10;

/// Begins a frame of data.
pub(super) const ZSTD_MAGIC: u32 = 0xFD2F_B528;
/// Begins a frame that zstd skips: the upper 28 bits. The lower four are ours to choose.
pub(super) const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
/// The one that our header is in.
const HEADER_MAGIC: u32 = SKIPPABLE_MAGIC | 0x8;
/// Says that the skippable frame is our header.
const SIGNATURE: &[u8; 8] = b"HVSKTREC";
/// Frame magic, frame length, signature, version.
pub(super) const PREFIX: usize = 4 + 4 + SIGNATURE.len() + 4;

/// What a recording says of itself at its beginning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Header {
    /// Version of the Snapshots' schema.
    pub schema: u32,
    /// Version of the tool that recorded.
    pub tool_version: String,
    /// Kernel release of the guest.
    pub kernel: String,
    /// Its host name.
    pub hostname: String,
    /// When the first Snapshot was taken, RFC 3339; with `dropped`, it is in the file no more.
    pub started: String,
    /// Time between Snapshots, as asked for.
    pub interval_ns: u64,
    /// The command that ran meanwhile; `None`: none.
    pub command: Option<Vec<String>>,
    /// The limit that was set; `None`: none.
    pub max_size_bytes: Option<u64>,
    /// Snapshots that were dropped at the front to keep to the limit.
    #[serde(default)]
    pub dropped: u64,
}

/// One line of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Record {
    /// A Snapshot.
    Snapshot(Box<Snapshot>),
    /// A lifecycle event.
    Event(Box<LifecycleEvent>),
    /// The recording was ended in order; the last line.
    End(End),
}

/// How a recording ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct End {
    /// When, RFC 3339.
    pub time: String,
    /// Snapshots recorded, those dropped since among them.
    pub snapshots: u64,
    /// Events recorded, likewise.
    pub events: u64,
    /// Events that were lost because the recorder was too slow.
    pub lost: u64,
    /// Exit status of the command as a shell tells it; `None`: there was none.
    pub exit_status: Option<u8>,
}

/// A line as it is read: what a later minor version may add is passed over.
#[derive(Deserialize)]
pub(super) struct Line {
    snapshot: Option<Box<Snapshot>>,
    event: Option<Box<LifecycleEvent>>,
    end: Option<End>,
}

impl Line {
    pub(super) fn record(self) -> Option<Record> {
        let snapshot = self.snapshot.map(Record::Snapshot);
        snapshot.or(self.event.map(Record::Event)).or(self.end.map(Record::End))
    }
}

impl Header {
    /// The header of a recording that begins with `first`.
    pub fn new(first: &Snapshot, interval_ns: u64, command: Option<Vec<String>>) -> Self {
        Self {
            schema: SCHEMA,
            tool_version: first.tool.version.clone(),
            kernel: first.host.kernel.clone(),
            hostname: first.host.hostname.clone(),
            started: first.time.clone(),
            interval_ns,
            command: command.map(shortened),
            max_size_bytes: None,
            dropped: 0,
        }
    }

    /// As it stands in the file.
    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        let json = serde_json::to_vec(self)?;
        let mut frame = Vec::with_capacity(PREFIX + json.len());
        frame.extend(HEADER_MAGIC.to_le_bytes());
        frame.extend(((PREFIX - 8 + json.len()) as u32).to_le_bytes());
        frame.extend(SIGNATURE);
        frame.extend(VERSION.to_le_bytes());
        frame.extend(json);
        Ok(frame)
    }

    /// How long the JSON is, by the beginning of a file.
    pub(super) fn json_len(prefix: &[u8; PREFIX]) -> Result<usize, Fault> {
        let word =
            |at: usize| u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]]);
        if word(0) != HEADER_MAGIC || prefix[8..16] != SIGNATURE[..] {
            return Err(Fault::NotARecording);
        }
        match word(16) {
            VERSION => {}
            0 => return Err(Fault::Corrupt("its version is 0".to_owned())),
            version => return Err(Fault::Newer { what: "format", version, known: VERSION }),
        }
        (word(4) as usize)
            .checked_sub(PREFIX - 8)
            .filter(|len| *len <= MAX_HEADER)
            .ok_or_else(|| Fault::Corrupt(format!("a header of {} bytes", word(4))))
    }

    /// From the JSON.
    pub(super) fn decode(json: &[u8]) -> Result<Self, Fault> {
        /// Read first: a header of another schema may look otherwise.
        #[derive(Deserialize)]
        struct Versions {
            schema: u32,
        }
        let corrupt = |e: serde_json::Error| Fault::Corrupt(format!("the header: {e}"));
        let Versions { schema } = serde_json::from_slice(json).map_err(corrupt)?;
        if schema > SCHEMA {
            return Err(Fault::Newer { what: "Snapshot schema", version: schema, known: SCHEMA });
        }
        serde_json::from_slice(json).map_err(corrupt)
    }
}

/// A command line whose JSON is of bounded length.
fn shortened(command: Vec<String>) -> Vec<String> {
    let mut left = MAX_COMMAND;
    let mut kept = Vec::new();
    for argument in command {
        // Every byte may become six, and quotes and a comma go with each argument.
        let Some(less) = left.checked_sub(6 * argument.len() + 3) else {
            kept.push("…".to_owned());
            break;
        };
        left = less;
        kept.push(argument);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_command_is_shortened() {
        assert_eq!(shortened(vec!["a".into(), "b".into()]), ["a", "b"]);
        assert_eq!(shortened(vec!["a".into(), "x".repeat(MAX_COMMAND), "c".into()]), ["a", "…"]);
        for worst in [vec![String::new(); 100_000], vec!["\u{1}".repeat(2700); 9]] {
            let json = serde_json::to_vec(&shortened(worst)).unwrap();
            assert!(json.len() < MAX_COMMAND + 10, "{}", json.len());
        }
    }
}
