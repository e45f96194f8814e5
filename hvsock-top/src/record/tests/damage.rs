//! Files that are damaged, cut, or made to do harm. The rules: never a panic, bounded memory, and whatever is handed out is what was
//! written.

use super::*;

#[test]
fn cut_anywhere_it_reads_up_to_the_last_whole_frame() {
    let bytes = recording(3);
    let (whole, _) = read(&bytes);
    let mut silent = 0;
    for len in 0..bytes.len() {
        let (records, error) = read(&bytes[..len]);
        assert!(records.len() < whole.len() && records == whole[..records.len()], "cut at {len}");
        match error {
            Some(error) => {
                assert!(!error.to_string().contains('\n') && !error.remedy().is_empty(), "{error}");
            }
            None => silent += 1,
        }
    }
    // Cut between two frames it is whole, as after a kill; the missing line of the end tells.
    assert_eq!(silent, 4, "after the header and each frame but the last");
    // Just before the end only the last frame, of one line, is missing.
    let (records, error) = read(&bytes[..bytes.len() - 1]);
    let error = error.unwrap();
    assert_eq!(records.len(), whole.len() - 1);
    assert!(matches!(error.fault, Fault::Truncated), "{error}");
    assert_eq!((error.read.snapshots, error.read.events, error.read.frames), (3, 3, 3));
    assert!(
        error.to_string().contains("before it 3 Snapshots and 3 events, up to 2026-01-02T03:04:02"),
        "{error}"
    );
}

#[test]
fn any_flipped_bit_is_noticed() {
    let bytes = recording(2);
    let (whole, _) = read(&bytes);
    let header = Header::new(&snapshot(0), 1_000_000_000, None).encode().unwrap().len();
    let mut without_meaning = 0;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let (records, error) = read(&damaged);
            let what = format!("bit {bit} of byte {at}");
            assert!(
                records.len() <= whole.len() && records == whole[..records.len()],
                "{what}: invented records"
            );
            if let Some(error) = error {
                assert!(error.to_string().starts_with("test "), "{what}: {error}");
            } else {
                // zstd leaves a few bits without a meaning; the checksum says that the content is the same.
                assert_eq!(records, whole, "{what}: lost records without a word");
                without_meaning += usize::from(at >= header);
            }
        }
    }
    let bits = (bytes.len() - header) * 8;
    assert!(without_meaning < bits / 50, "{without_meaning} of {bits} bits went unnoticed");
}

#[test]
fn random_damage_is_survived() {
    let bytes = recording(3);
    let (whole, _) = read(&bytes);
    let mut random = 1u64;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize % below.max(1)
    };
    for round in 0..3000 {
        let mut damaged = bytes.clone();
        for _ in 0..=next(6) {
            let at = next(damaged.len());
            let len = next(40).min(damaged.len() - at);
            match next(4) {
                0 => damaged[at..at + len].fill(next(256) as u8),
                1 => drop(damaged.drain(at..at + len)),
                2 => {
                    let from = next(bytes.len());
                    let piece = bytes[from..(from + len).min(bytes.len())].to_vec();
                    damaged.splice(at..at, piece);
                }
                _ => damaged.truncate(at),
            }
        }
        // Pieces put elsewhere may be whole frames, so only that it is survived, and with a reason.
        let (records, error) = read(&damaged);
        assert!(records.len() <= 4 * whole.len(), "round {round}");
        drop(error.map(|e| (e.to_string(), e.remedy())));
    }
}

fn fails(bytes: &[u8]) -> Fault {
    let (records, error) = read(bytes);
    assert!(records.is_empty());
    error.unwrap().fault
}

#[test]
fn what_is_no_recording_is_called_so() {
    assert!(matches!(fails(b""), Fault::Empty));
    assert!(matches!(fails(b"x"), Fault::NotARecording));
    assert!(matches!(fails(b"{\"schema\":1,\"time\":\"2026-01-02T03:04:05Z\"}\n"), Fault::NotARecording));
    assert!(matches!(fails(&[0; 4096]), Fault::NotARecording));
    // A zstd file of somebody else's.
    assert!(matches!(fails(&zstd::encode_all(&b"{}\n"[..], 3).unwrap()), Fault::NotARecording));
    assert!(matches!(fails(&recording(1)[..19]), Fault::NotARecording));
    assert!(matches!(fails(&recording(1)[..30]), Fault::Truncated));
}

#[test]
fn later_versions_are_refused_by_name() {
    let mut bytes = recording(1);
    bytes[16] = 9;
    let (_, error) = read(&bytes);
    let error = error.unwrap();
    assert_eq!(error.to_string(), "test has version 9 of the format; this hvsock-top knows versions up to 1");
    assert!(error.remedy().contains("later"), "{}", error.remedy());

    let header = Header { schema: 77, ..Header::new(&snapshot(0), 1, None) };
    let fault = fails(&header.encode().unwrap());
    assert!(matches!(fault, Fault::Newer { version: 77, .. }), "{fault}");
}

#[test]
fn what_a_later_minor_version_adds_is_passed_over() {
    let header = Header::new(&snapshot(0), 1_000_000_000, None);
    let mut bytes = header.encode().unwrap();
    // An unknown skippable frame, unknown kinds of lines, and unknown names in known ones.
    bytes.extend([0x5f, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    let line = serde_json::to_string(&Record::Event(Box::new(event(1)))).unwrap();
    let line = line.replacen("{\"event\":{", "{\"since\":2,\"event\":{\"new\":[1],", 1);
    bytes.extend(zstd::encode_all(format!("{{\"note\":\"x\"}}\n\n{line}\n").as_bytes(), 1).unwrap());
    let (records, error) = read(&bytes);
    assert!(error.is_none(), "{error:?}");
    assert_eq!(records, [Record::Event(Box::new(event(1)))]);
    let mut reader = Reader::new(&bytes[..], "test").unwrap();
    while reader.record().unwrap().is_some() {}
    assert_eq!(reader.progress().offset, bytes.len() as u64, "where a fault would be is told wrongly");
}

#[test]
fn bombs_do_not_go_off() {
    let header = Header::new(&snapshot(0), 1_000_000_000, None).encode().unwrap();
    // 1 GiB of zeros in 32 KiB: refused when the first 16 MiB have been seen.
    let mut packer = zstd::stream::Encoder::new(header.clone(), 3).unwrap();
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        packer.write_all(&zeros).unwrap();
    }
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 1 << 18);
    let mut reader = Reader::new(&bomb[..], "test").unwrap();
    assert!(matches!(reader.record().unwrap_err().fault, Fault::TooLarge));
    assert!(reader.memory() <= MAX_FRAME + (1 << 20));

    // A frame that wants a window of 2 GiB: descriptor 0, window descriptor 21 << 3.
    let mut greedy = header.clone();
    greedy.extend([0x28, 0xb5, 0x2f, 0xfd, 0x00, 21 << 3, 0x01, 0x00, 0x00]);
    let fault = fails(&greedy);
    assert!(matches!(fault, Fault::TooLarge), "{fault}");

    // A header that says it is 4 GiB long.
    let mut long = header;
    long[4..8].fill(0xff);
    let fault = fails(&long);
    assert!(matches!(fault, Fault::Corrupt(_)), "{fault}");
}

#[test]
fn lines_nested_without_end_are_refused() {
    let mut bytes = Header::new(&snapshot(0), 1, None).encode().unwrap();
    let line = format!("{{\"note\":{}", "[".repeat(1 << 20));
    bytes.extend(zstd::encode_all(line.as_bytes(), 1).unwrap());
    assert!(matches!(fails(&bytes), Fault::Corrupt(_)));
}
