//! Any text inside frames whose checksums are right: what the compression hides from the other target.
#![no_main]

use std::io::Cursor;

use hvsock_top::record::{Reader, Replay, diff};
use libfuzzer_sys::fuzz_target;

const HEADER: &[u8] = br#"{"schema":1,"tool_version":"","kernel":"","hostname":"","started":"","interval_ns":1,"command":null,"max_size_bytes":null}"#;

fuzz_target!(|text: &[u8]| {
    let mut bytes = 0x184D_2A58_u32.to_le_bytes().to_vec();
    bytes.extend((HEADER.len() as u32 + 12).to_le_bytes());
    bytes.extend(b"HVSKTREC\x01\x00\x00\x00");
    bytes.extend(HEADER);
    bytes.extend(zstd::bulk::compress(text, 1).expect("any text can be compressed"));
    let mut reader = Reader::new(&bytes[..], "fuzz").expect("the header is fine");
    while let Ok(Some(_)) = reader.record() {}
    let open = || Replay::new(Box::new(Cursor::new(bytes.clone())), "fuzz").expect("the header is fine");
    diff::compare(("a".to_owned(), open()), ("b".to_owned(), open()));
});
