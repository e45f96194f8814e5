//! A recording, against the ledger.

use std::path::Path;

use anyhow::{Result, ensure};
use hvsock_guest::host;
use hvsock_guest::traffic;
use rustix::process::Signal;

use crate::recorder::{Recorder, replay, size};
use crate::runner::Scenario;
use crate::{compare, events, histograms, once, steps};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: std::time::Duration::from_mins(3),
    ..Scenario::new(
        "record",
        "a recording replays to what the host's ledger says, event by event, also after kill -9; what exists is not overwritten",
        run,
    )
};

const FILE: &str = "/tmp/record.rec";

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let recorder = Recorder::start(FILE, &["--interval", "100ms"])?;
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, 5000)?;
    }
    streams.drain(1..).try_for_each(traffic::close)?;
    steps::wait_ledger("two are gone", |l| l.conns.iter().filter(|c| !c.live()).count() == 2)?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let ended = recorder.end(Signal::INT)?;
    ensure!(ended.code == Some(0), "record ended so: {ended:?}");

    let replayed = replay(FILE)?.whole()?;
    let (snapshots, seen) = (replayed.snapshots.len(), &replayed.events);
    let summary = format!("recorded {snapshots} Snapshots and {} events in ", seen.len());
    ensure!(ended.stderr.contains(&summary), "expected \"{summary}\", got {ended:?}");
    ensure!(snapshots > 2, "only {snapshots} Snapshots");
    // The first was taken before the traffic, the last after it.
    ensure!(replayed.snapshots[0].number("totals/tx_bytes")? == 0, "the first Snapshot came too late");
    let ledger = host::ledger()?;
    let last = replayed.last()?;
    compare::live(last, &ledger)?;
    compare::totals(last, &ledger)?;
    histograms::consistent(last)?;
    compare::accounting(last)?;
    ensure!(events::count(seen, "opened", None, 5000) == 3, "opened: {seen:?}");
    ensure!(events::count(seen, "closed", None, 5000) == 2, "closed: {seen:?}");
    ensure!(
        seen.iter().filter(|e| e["event"] == "closed").all(|e| e["tx_bytes"] == 5000),
        "closed: {seen:?}"
    );
    let one = once::hvsock_top(&["json", "--replay", FILE, "--once"])?.snapshot()?;
    ensure!(one.0 == replayed.snapshots[0].0, "--once is not the first Snapshot");

    // It exists now.
    once::hvsock_top(&["record", "-o", FILE])?.fails(1, &["exists", "--force"])?;
    ensure!(replay(FILE)?.whole()?.snapshots.len() == snapshots, "what existed was changed");
    once::hvsock_top_as_nobody(&["record", "-o", FILE, "--force"])?.fails(1, &["ermission denied"])?;
    once::hvsock_top(&["record", "-o", "/tmp/no/folder.rec"])?.fails(1, &["No such file", "folder"])?;
    once::hvsock_top(&["record", "-o", "/tmp"])?.fails(1, &["directory"])?;
    // Without the privilege to attach nothing is left, and what is there stays.
    once::hvsock_top_as_nobody(&["record", "-o", "/tmp/nobody.rec"])?.fails(3, &["setcap"])?;
    ensure!(!std::fs::exists("/tmp/nobody.rec")?, "an empty file is left");

    let same = once::hvsock_top(&["diff", FILE, FILE, "--exit-code"])?;
    ensure!(
        same.code == Some(0) && same.stdout.contains("more than noise: 0 of"),
        "a recording differs from itself: {same:?}"
    );
    // Its figures are older than the next recorder.
    streams.drain(..).try_for_each(traffic::close)?;
    killed()
}

/// Killed under traffic, in a file that held something else.
fn killed() -> Result<()> {
    std::fs::write(FILE, "something else")?;
    let mut recorder = Recorder::start(FILE, &["--interval", "20ms", "--force"])?;
    let streams = traffic::connect_all(5000, 5)?;
    for stream in &streams {
        traffic::echo(stream, 777)?;
    }
    let ledger = host::ledger()?;
    // Some Snapshots of all of it.
    recorder.wait_for_size(size(Path::new(FILE)) + 15_000)?;
    let ended = recorder.end(Signal::KILL)?;
    ensure!(ended.signal == Some(Signal::KILL.as_raw()), "it had ended before: {ended:?}");
    let replayed = replay(FILE)?;
    // Cut within a frame or between two.
    let ended = &replayed.ended;
    ensure!(ended.code == Some(0) || ended.stderr.contains("is cut off"), "after a kill: {ended:?}");
    compare::live(replayed.last()?, &ledger)?;
    compare::expect(replayed.last()?, "totals/tx_bytes", 5 * 777)?;
    let diff = once::hvsock_top(&["diff", FILE, FILE])?;
    ensure!(diff.stdout.contains("not ended in order") || diff.stdout.contains("is cut off"), "{diff:?}");
    streams.into_iter().try_for_each(traffic::close)
}
