//! What was written is read back, and nothing else is.

mod damage;
mod output;
mod sample;

use std::{
    io::{self, Write},
    sync::{Arc, Mutex},
};

use super::*;
use crate::model::Source as _;
use sample::{event, snapshot};

/// A stream whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn end() -> End {
    End { time: "2026-01-02T03:05:00.000Z".into(), snapshots: 3, events: 3, lost: 0, exit_status: None }
}

/// A recording of so many Snapshots with an event before each.
fn recording(snapshots: u64) -> Vec<u8> {
    let bytes = Shared::default();
    let header = Header::new(&snapshot(0), 1_000_000_000, None);
    let mut writer = Writer::begin(Output::stream(bytes.clone(), "test"), header).unwrap();
    for n in 0..snapshots {
        writer.event(&event(n)).unwrap();
        writer.snapshot(&snapshot(n)).unwrap();
    }
    writer.end(&end()).unwrap();
    let bytes = bytes.0.lock().unwrap();
    bytes.clone()
}

/// All that can be read, and what ended it.
fn read(bytes: &[u8]) -> (Vec<Record>, Option<ReadError>) {
    let mut reader = match Reader::new(bytes, "test") {
        Ok(reader) => reader,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut records = Vec::new();
    loop {
        match reader.record() {
            Ok(Some(record)) => records.push(record),
            Ok(None) => return (records, None),
            Err(error) => {
                assert!(reader.record().unwrap().is_none(), "nothing comes after an error");
                return (records, Some(error));
            }
        }
    }
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = recording(3);
    let (records, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    let mut expected = Vec::new();
    for n in 0..3 {
        expected.push(Record::Event(Box::new(event(n))));
        expected.push(Record::Snapshot(Box::new(snapshot(n))));
    }
    expected.push(Record::End(end()));
    assert_eq!(records, expected);
}

#[test]
fn snapshots_read_back_print_the_same_line() {
    let mut replay = Replay::new(Box::new(io::Cursor::new(recording(3))), "test").unwrap();
    for n in 0..3 {
        let read = replay.snapshot().unwrap().unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), serde_json::to_string(&snapshot(n)).unwrap());
    }
    assert!(!replay.has_ended());
    assert!(replay.snapshot().unwrap().is_none());
    assert!(replay.has_ended());
    assert_eq!(replay.progress().snapshots, 3);
    assert_eq!(replay.progress().until, Some(snapshot(2).time));
}

#[test]
fn any_zstd_reads_it_as_lines_of_json() {
    let bytes = recording(2);
    let plain = zstd::decode_all(&bytes[..]).unwrap();
    let lines: Vec<serde_json::Value> = plain
        .split(|b| *b == b'\n')
        .filter(|l| !l.is_empty())
        .map(|l| serde_json::from_slice(l).unwrap())
        .collect();
    assert_eq!(lines.len(), 5);
    assert!(lines[0]["event"].is_object() && lines[1]["snapshot"].is_object() && lines[4]["end"].is_object());
}

#[test]
fn the_header_says_what_it_is_about() {
    let bytes = recording(1);
    let reader = Reader::new(&bytes[..], "test").unwrap();
    assert_eq!(*reader.header(), Header::new(&snapshot(0), 1_000_000_000, None));
    assert_eq!(reader.header().kernel, "6.12.0-test");
}
