//! Files that exist, that are full, that are bounded.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::*;

/// A folder of its own that goes with its value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hvsock-top-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn begin(path: &Path, max: Option<u64>) -> Writer {
    let header = Header::new(&snapshot(0), 1_000_000_000, None);
    Writer::begin(Output::create(path, false, max).unwrap(), header).unwrap()
}

#[test]
fn what_is_there_is_not_overwritten_unless_told() {
    let folder = Folder::new("exists");
    let path = folder.0.join("x");
    fs::write(&path, "precious").unwrap();
    let error = Output::create(&path, false, None).err().unwrap();
    assert!(error.what.ends_with("exists already") && error.remedy.contains("--force"), "{error:?}");
    // Not before the recording begins.
    let output = Output::create(&path, true, None).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    drop(output);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    let output = Output::create(&path, true, None).unwrap();
    let mut writer = Writer::begin(output, Header::new(&snapshot(0), 1, None)).unwrap();
    writer.snapshot(&snapshot(0)).unwrap();
    let (records, error) = read(&fs::read(&path).unwrap());
    assert!(records.len() == 1 && error.is_none());
}

#[test]
fn nothing_is_left_of_a_recording_that_did_not_begin() {
    let folder = Folder::new("nothing");
    drop(Output::create(&folder.0.join("x"), false, Some(1 << 20)).unwrap());
    assert_eq!(folder.files(), Vec::<String>::new());
}

#[test]
fn a_burst_of_events_does_not_wait_for_a_snapshot() {
    let folder = Folder::new("burst");
    let path = folder.0.join("x");
    let mut writer = begin(&path, None);
    // Some 20 MB as text, which must not all be kept in memory.
    for n in 0..40_000 {
        writer.event(&event(n)).unwrap();
    }
    let (records, error) = read(&fs::read(&path).unwrap());
    assert!(records.len() > 35_000 && error.is_none(), "{} are in the file", records.len());
    assert_eq!(writer.written().events, records.len() as u64);
}

#[test]
fn places_that_cannot_be_written_are_told_with_a_remedy() {
    let folder = Folder::new("places");
    for (path, word) in [(folder.0.clone(), "directory"), (folder.0.join("no/x"), "No such file")] {
        let error = Output::create(&path, false, None).err().unwrap();
        assert!(error.what.contains(word) && !error.remedy.is_empty(), "{error:?}");
    }
    let error = Output::create(Path::new("/dev/null"), false, Some(1 << 20)).err().unwrap();
    assert!(error.remedy.contains("--max-size"), "{error:?}");
    let mut writer = begin(Path::new("/dev/null"), None);
    writer.snapshot(&snapshot(0)).unwrap();
}

#[test]
fn two_recorders_do_not_share_a_file() {
    let folder = Folder::new("two");
    let path = folder.0.join("x");
    let _first = begin(&path, None);
    let error = Output::create(&path, true, None).err().unwrap();
    assert!(error.what.contains("somebody else"), "{error:?}");
}

#[test]
fn a_full_disk_is_told() {
    let output = Output::create(Path::new("/dev/full"), false, None).unwrap();
    let error = Writer::begin(output, Header::new(&snapshot(0), 1, None)).err().unwrap();
    assert!(error.what.contains("No space left") && error.remedy.contains("room"), "{error:?}");
}

/// The limit on the size of files stands in for a full disk: a write stops short at it. It holds for a whole process, so the test runs
/// itself in one of its own.
#[test]
fn what_was_written_of_a_frame_that_failed_is_cut_off_again() {
    const FOLDER: &str = "HVSOCK_TOP_TEST_TORN";
    let Some(folder) = std::env::var_os(FOLDER) else {
        let folder = Folder::new("torn");
        let limited = "ulimit -f 4; exec \"$0\" --exact record::tests::output::what_was_written_of_a_frame_that_failed_is_cut_off_again";
        let mut child = std::process::Command::new("sh");
        child.args(["-c", limited]).arg(std::env::current_exe().unwrap()).env(FOLDER, &folder.0);
        let out = child.output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stdout));
        // Or it has not run at all.
        assert_eq!(folder.files(), ["x"]);
        return;
    };
    // SAFETY: this process has nothing else to do.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
    let path = Path::new(&folder).join("x");
    let mut writer = begin(&path, None);
    loop {
        let whole = fs::read(&path).unwrap();
        match writer.snapshot(&incompressible(1)) {
            Ok(()) => assert!(whole.len() < 4096),
            Err(error) => {
                assert!(error.what.contains("File too large"), "{error:?}");
                assert_eq!(fs::read(&path).unwrap(), whole);
                break;
            }
        }
    }
}

/// A Snapshot that does not pack well.
fn incompressible(n: u64) -> crate::model::Snapshot {
    let mut random = n + 1;
    let mut snapshot = snapshot(n);
    snapshot.memory.free_blocks = Some(
        std::iter::repeat_with(|| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            random
        })
        .take(250)
        .collect(),
    );
    snapshot
}

#[test]
fn a_bounded_recording_keeps_its_newest_part() {
    let folder = Folder::new("ring");
    let path = folder.0.join("x");
    let max = SMALLEST_RING;
    let mut writer = begin(&path, Some(max));
    let mut largest = 0;
    let mut renewed = 0;
    for n in 0..200 {
        writer.event(&event(n)).unwrap();
        writer.snapshot(&incompressible(n)).unwrap();
        let bytes = fs::read(&path).unwrap();
        largest = largest.max(bytes.len() as u64);
        let (records, error) = read(&bytes);
        assert!(error.is_none(), "{error:?}");
        let kept: Vec<_> = records
            .iter()
            .filter_map(|r| if let Record::Snapshot(s) = r { Some((**s).clone()) } else { None })
            .collect();
        let first = n + 1 - kept.len() as u64;
        assert!(kept.iter().enumerate().all(|(i, s)| *s == incompressible(first + i as u64)), "after {n}");
        let header = Reader::new(&bytes[..], "x").unwrap().header().clone();
        assert_eq!(header.dropped, first);
        assert_eq!(header.max_size_bytes, Some(max));
        renewed = renewed.max(first);
        assert_eq!(folder.files(), ["x"]);
    }
    assert!(renewed > 100 && largest > max / 2, "{renewed} {largest}");
    // The other third is what the copy may take.
    assert!(largest <= max / 3 * 2, "{largest}");
    let counts = writer.written();
    assert_eq!((counts.snapshots, counts.events), (200, 200));
    writer.end(&end()).unwrap();
}

#[test]
fn a_bound_too_small_for_one_snapshot_is_told() {
    let folder = Folder::new("small");
    let path = folder.0.join("x");
    let mut writer = begin(&path, Some(SMALLEST_RING));
    writer.snapshot(&snapshot(0)).unwrap();
    let mut large = incompressible(1);
    large.memory.free_blocks =
        Some((0..20_000).map(|n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect());
    let error = writer.snapshot(&large).unwrap_err();
    assert!(error.remedy.contains("--max-size"), "{error:?}");
    let (records, error) = read(&fs::read(&path).unwrap());
    assert!(records.len() == 1 && error.is_none());
}

#[test]
fn what_a_kill_left_of_a_renewal_goes_with_the_next() {
    let folder = Folder::new("part");
    fs::write(folder.0.join(".x.part"), "half").unwrap();
    let output = Output::create(&folder.0.join("x"), false, Some(1 << 20)).unwrap();
    output.try_folder().unwrap();
    drop(output);
    assert_eq!(folder.files(), Vec::<String>::new());
}
