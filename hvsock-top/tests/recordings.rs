//! The program on real recordings, made in the test bed; no kernel to watch is needed.
//!
//! `before.rec`: connections of the guest to an echo service, 2,000 bytes each way. `after.rec`: the same with 40,000 bytes, and now and
//! then a connect that the host ignores. `tests/data/make.sh` makes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

fn data(name: &str) -> String {
    format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn run(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hvsock-top"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // What is not read is none of our business.
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    output
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// It failed with this code, and said what and what to do in a line each.
fn fails(output: &Output, code: i32, words: &[&str]) {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no \"{word}\" in {stderr}");
    }
}

/// The lines of a recording, by zstd alone.
fn lines(name: &str) -> Vec<String> {
    let plain = zstd::decode_all(&fs::read(data(name)).unwrap()[..]).unwrap();
    text(&plain).lines().map(str::to_owned).collect()
}

/// Those of one kind, as they were printed when they were recorded.
fn printed(name: &str, kind: &str) -> String {
    let before = format!("{{\"{kind}\":");
    let inner = |line: &String| {
        let line = line.strip_prefix(&before)?.strip_suffix('}')?;
        Some(format!("{line}\n"))
    };
    lines(name).iter().filter_map(inner).collect()
}

/// Whether a replayed value is the recorded one. Names that are younger than the recording are null, and `findings` are filled in where
/// nobody had looked. (Records of the present version replay byte for byte: the unit tests of `record` see to that.)
fn is_same(recorded: &Value, replayed: &Value) -> bool {
    match (recorded, replayed) {
        (Value::Object(old), Value::Object(new)) => {
            let filled_in = |name: &str, value: &Value| name == "findings" && value.is_null();
            old.iter().all(|(name, value)| {
                filled_in(name, value) || new.get(name).is_some_and(|replayed| is_same(value, replayed))
            }) && new.iter().all(|(name, value)| old.contains_key(name) || value.is_null())
        }
        (Value::Array(old), Value::Array(new)) => {
            old.len() == new.len() && old.iter().zip(new).all(|(old, new)| is_same(old, new))
        }
        _ => recorded == replayed,
    }
}

/// That the lines replayed are the first of those recorded; says how many.
fn beginning(recorded: &str, replayed: &str) -> usize {
    let mut recorded = recorded.lines();
    for (number, line) in replayed.lines().enumerate() {
        let old: Value = serde_json::from_str(recorded.next().unwrap()).unwrap();
        let new: Value = serde_json::from_str(line).unwrap();
        assert!(is_same(&old, &new), "line {number} differs: {old} became {new}");
    }
    replayed.lines().count()
}

#[test]
fn what_is_replayed_is_what_was_recorded() {
    for name in ["before.rec", "after.rec"] {
        let (snapshots, events) = (printed(name, "snapshot"), printed(name, "event"));
        assert!(snapshots.lines().count() > 8 && events.lines().count() > 8);
        for arguments in [&["json", "--replay", &data(name)][..], &["replay", &data(name)], &["replay", "-"]]
        {
            let output = run(arguments, &fs::read(data(name)).unwrap());
            assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {output:?}");
            assert_eq!(
                beginning(&snapshots, text(&output.stdout)),
                snapshots.lines().count(),
                "{arguments:?}"
            );
        }
        let output = run(&["events", "--json", "--replay", &data(name)], b"");
        assert!(
            output.status.success() && text(&output.stdout) == events,
            "events differ from the recording"
        );
    }
}

#[test]
fn counts_stop_it_and_senseless_options_are_refused() {
    let file = data("before.rec");
    let three = run(&["json", "--replay", &file, "--count", "3"], b"");
    assert_eq!(text(&three.stdout).lines().count(), 3);
    let pretty = run(&["json", "--replay", &file, "--once", "--pretty"], b"");
    assert!(text(&pretty.stdout).lines().count() > 100);
    let two = run(&["events", "--replay", &file, "--count", "2"], b"");
    assert_eq!(text(&two.stdout).lines().count(), 2);
    for senseless in [
        &["json", "--replay", &file, "--interval", "1s"][..],
        &["json", "--replay"],
        &["replay"],
        &["replay", &file, "--speed", "0"],
        &["diff", &file],
        &["record"],
        &["record", "-o", "x", "--max-size", "1K"],
        &["record", "-o", "-", "--max-size", "1M"],
        &["record", "-o", "-", "--", "true"],
    ] {
        fails(&run(senseless, b""), 2, &[]);
    }
}

#[test]
fn what_cannot_be_read_is_told_and_what_can_is_printed() {
    let whole = fs::read(data("before.rec")).unwrap();
    let snapshots = printed("before.rec", "snapshot");
    for command in [&["json", "--replay", "-"][..], &["replay", "-"], &["events", "--json", "--replay", "-"]]
    {
        fails(&run(command, b""), 1, &["stdin is empty"]);
        fails(&run(command, b"{\"schema\":1}\nand more of that\n"), 1, &["not a recording"]);
        let mut newer = whole.clone();
        newer[16] = 200;
        fails(&run(command, &newer), 1, &["version 200 of the format", "later"]);
        let cut = run(command, &whole[..whole.len() * 2 / 3]);
        fails(&cut, 1, &["stdin is cut off", "Snapshots and", "up to 20"]);
        assert!(text(&cut.stdout).ends_with('\n') && text(&cut.stdout).lines().count() > 3);
    }
    let cut = run(&["json", "--replay", "-"], &whole[..whole.len() * 2 / 3]);
    assert!(beginning(&snapshots, text(&cut.stdout)) > 3);
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 0x10;
    let output = run(&["json", "--replay", "-"], &damaged);
    fails(&output, 1, &["damaged", "Snapshots and"]);
    assert!(beginning(&snapshots, text(&output.stdout)) > 3);

    fails(&run(&["replay", "/no/such/file"], b""), 1, &["No such file", "record -o"]);
    fails(&run(&["replay", env!("CARGO_MANIFEST_DIR")], b""), 1, &["directory"]);
    fails(&run(&["diff", &data("before.rec"), "/no/such/file"], b""), 1, &["No such file"]);
}

#[test]
fn a_reader_who_has_had_enough_ends_it_quietly() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_hvsock-top"))
        .args(["json", "--replay", &data("before.rec")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

fn diff(a: &str, b: &str) -> Value {
    let output = run(&["diff", a, b, "--json"], b"");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn verdict<'a>(diff: &'a Value, name: &str) -> &'a str {
    let metrics = diff["metrics"].as_array().unwrap();
    let metric = metrics.iter().find(|m| m["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    metric["verdict"].as_str().unwrap()
}

#[test]
fn diff_marks_what_changed_and_nothing_else() {
    let (before, after) = (data("before.rec"), data("after.rec"));
    let same = diff(&before, &before);
    assert!(
        same["metrics"]
            .as_array()
            .unwrap()
            .iter()
            .all(|m| m["verdict"] == "same" || m["verdict"] == "too_few")
    );
    let changed = diff(&before, &after);
    assert_eq!(verdict(&changed, "tx_bytes"), "differs");
    assert_eq!(verdict(&changed, "rx_bytes"), "differs");
    assert_eq!(verdict(&changed, "opens.to_host.timed_out"), "only_b");
    assert_eq!(verdict(&changed, "opens.from_host.failed"), "same");
    assert_eq!(changed, diff(&before, &after), "the same files, another answer");

    let table = run(&["diff", &before, &after, "--exit-code"], b"");
    assert_eq!(table.status.code(), Some(1));
    let table = text(&table.stdout);
    assert!(table.lines().any(|l| l.starts_with("* tx_bytes")), "{table}");
    assert!(
        table.lines().any(|l| l.starts_with("* opens.to_host.timed_out") && l.ends_with("only in B")),
        "{table}"
    );
    assert_eq!(run(&["diff", &before, &before, "--exit-code"], b"").status.code(), Some(0));
}

#[test]
fn diff_uses_what_can_be_read_of_a_cut_recording() {
    let whole = fs::read(data("before.rec")).unwrap();
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cut.rec");
    fs::write(&path, &whole[..whole.len() * 9 / 10]).unwrap();
    let cut = diff(path.to_str().unwrap(), &data("before.rec"));
    assert!(cut["notes"][0].as_str().unwrap().contains("is cut off"), "{}", cut["notes"]);
    assert_eq!(verdict(&cut, "tx_bytes"), "same");
}
