//! `hvsock-top lookup report` on results that are kept: no kernel is asked anything.
//!
//! `lab.json` is what `hvsock-top lookup lab --sizes 100,2000 --rounds 5 --json` printed.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

fn lab() -> String {
    format!("{}/tests/data/lab.json", env!("CARGO_MANIFEST_DIR"))
}

fn experiment(kernel: &str) -> String {
    format!("{}/../docs/lookup/experiment-{kernel}.json", env!("CARGO_MANIFEST_DIR"))
}

/// A place of this test's own.
fn place(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("report-{name}"));
    let _ = fs::remove_dir_all(&path);
    path
}

fn report(out: &Path, more: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hvsock-top"))
        .args(["lookup", "report", "--lab", &lab(), "--out"])
        .arg(out)
        .args(more)
        .output()
        .unwrap()
}

/// It failed, and said what and what to do in a line each.
fn fails(output: &Output, words: &[&str]) {
    let stderr = str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 2, "{stderr}");
    for word in words {
        assert!(stderr.contains(word), "no \"{word}\" in {stderr}");
    }
}

#[test]
fn every_kernels_results_make_a_page() {
    for kernel in ["6.1", "6.12"] {
        let out = place(kernel);
        let output = report(&out, &["--experiment", &experiment(kernel)]);
        assert!(output.status.success(), "{output:?}");
        let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
        assert_eq!(str::from_utf8(&output.stdout).unwrap().trim(), out.join("index.html").to_str().unwrap());
        let page = read("index.html");
        // One page: nothing is fetched, and both drawings are in it.
        assert!(page.contains("In short: ") && !page.contains("src=") && !page.contains("<link"));
        assert_eq!(page.matches("<svg").count(), 2);
        for drawing in ["lookup.svg", "experiment.svg"] {
            assert!(page.contains(read(drawing).trim()), "{drawing} is not in the page");
        }
    }
}

#[test]
fn without_the_experiment_the_page_says_so() {
    let out = place("alone");
    assert!(report(&out, &[]).status.success());
    let page = fs::read_to_string(out.join("index.html")).unwrap();
    assert!(page.contains("Not measured for this page") && !page.contains("In short"));
    assert!(!out.join("experiment.svg").exists());
}

#[test]
fn what_cannot_be_read_or_written_is_said() {
    fails(
        &report(&place("gone"), &["--experiment", "/no/such.json"]),
        &["cannot read /no/such.json", "name a file"],
    );
    fails(
        &report(&place("other"), &["--experiment", &lab()]),
        &["is not such a report", "cargo xtask bench lookup"],
    );
    let file = place("file");
    fs::write(&file, "").unwrap();
    fails(&report(&file, &[]), &["cannot make the folder", "--out"]);
    fs::remove_file(&file).unwrap();
}
