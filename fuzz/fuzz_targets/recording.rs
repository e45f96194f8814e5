//! Any bytes as a recording: never a panic, and what is read prints and reads back the same.
#![no_main]

use std::io::Cursor;

use hvsock_top::record::{Reader, Record, Replay, diff};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut reader) = Reader::new(bytes, "fuzz") else { return };
    loop {
        match reader.record() {
            Ok(Some(Record::Snapshot(snapshot))) => {
                let line = serde_json::to_string(&snapshot).expect("a Snapshot prints");
                let again: hvsock_top::model::Snapshot = serde_json::from_str(&line).expect("and reads back");
                assert_eq!(serde_json::to_string(&again).expect("a Snapshot prints"), line);
            }
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(error) => {
                assert!(!error.to_string().is_empty() && !error.remedy().is_empty());
                break;
            }
        }
    }
    let open = || Replay::new(Box::new(Cursor::new(bytes.to_vec())), "fuzz").expect("the header is fine");
    diff::compare(("a".to_owned(), open()), ("b".to_owned(), open()));
});
