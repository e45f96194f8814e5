//! Recordings that run into limits: a full disk, a bound, a reader who has had enough.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};
use rustix::process::Signal;

use crate::recorder::{Recorder, replay, size};
use crate::runner::Scenario;
use crate::{compare, once};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(5),
    ..Scenario::new(
        "record_limits",
        "a full disk, --max-size and a closed pipe: what was written replays, and what happened is said",
        run,
    )
};

/// Many connections make large Snapshots.
const MANY: usize = 60;

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let streams = traffic::connect_all(5000, MANY)?;
    full_disk()?;
    bounded()?;
    others_folder()?;
    closed_pipe()?;
    streams.into_iter().try_for_each(traffic::close)
}

fn full_disk() -> Result<()> {
    fs::create_dir_all("/tmp/full")?;
    let mounted = once::shell("mount -t tmpfs -o size=1m none /tmp/full")?;
    ensure!(mounted.code == Some(0), "cannot mount: {mounted:?}");
    // Some of it is taken, or it would take long to fill.
    fs::write("/tmp/full/taken", vec![0; 850 << 10])?;
    let recorder = Recorder::start("/tmp/full/x.rec", &["--interval", "10ms"])?;
    let ended = recorder.wait()?;
    ended.fails(1, &["No space left", "/tmp/full/x.rec", "--max-size"])?;
    let replayed = replay("/tmp/full/x.rec")?.whole()?;
    ensure!(size(Path::new("/tmp/full/x.rec")) > 120_000, "it was not full");
    for snapshot in &replayed.snapshots {
        ensure!(snapshot.connections()?.len() == MANY, "connections are missing");
    }
    // There is no room for the header either.
    fs::write("/tmp/full/rest", vec![0; 1 << 20]).err();
    once::hvsock_top(&["record", "-o", "/tmp/full/y.rec"])?.fails(1, &["No space left"])?;
    ensure!(!Path::new("/tmp/full/y.rec").exists(), "an empty file is left");

    // A command is not disturbed by it, but its status is not ours then.
    fs::remove_file("/tmp/full/x.rec")?;
    fs::write("/tmp/full/rest", vec![0; 100 << 10])?;
    let options = ["record", "-o", "/tmp/full/x.rec", "--interval", "10ms"];
    let command = ["--", "sh", "-c", "sleep 5; echo done; exit 7"];
    let ended = once::hvsock_top(&[&options[..], &command[..]].concat())?;
    ensure!(ended.code == Some(1) && ended.stdout == "done\n", "with a command: {ended:?}");
    ensure!(ended.stderr.contains("No space left"), "with a command: {ended:?}");
    ensure!(!replay("/tmp/full/x.rec")?.whole()?.snapshots.is_empty(), "nothing is left");
    let unmounted = once::shell("umount /tmp/full")?;
    ensure!(unmounted.code == Some(0), "cannot unmount: {unmounted:?}");
    Ok(())
}

fn bounded() -> Result<()> {
    const MAX: u64 = 200 << 10;
    let (file, beside) = (Path::new("/tmp/ring/x.rec"), Path::new("/tmp/ring/.x.rec.part"));
    fs::create_dir_all("/tmp/ring")?;
    let recorder = Recorder::start("/tmp/ring/x.rec", &["--interval", "10ms", "--max-size", "200K"])?;
    let end = Instant::now() + Duration::from_secs(8);
    let (mut most, mut next) = (0, Instant::now());
    while Instant::now() < end {
        // Renamed between the two looks it would count twice, so the part that vanishes is looked at first.
        let part = size(beside);
        most = most.max(part + size(file));
        ensure!(most <= MAX, "{most} bytes on the disk, {part} of them beside");
        if Instant::now() > next {
            // At any time; the frame that is being written may be there in part.
            fs::copy(file, "/tmp/ring/copy.rec")?;
            let now = replay("/tmp/ring/copy.rec")?;
            let whole = now.ended.code == Some(0) || now.ended.stderr.contains("is cut off");
            ensure!(whole && !now.snapshots.is_empty(), "it cannot be read now: {:?}", now.ended);
            next = Instant::now() + Duration::from_secs(2);
        }
    }
    let stopped = recorder.end(Signal::TERM)?;
    ensure!(stopped.code == Some(0) && !beside.exists(), "the end: {stopped:?}");
    let replayed = replay("/tmp/ring/x.rec")?.whole()?;
    let kept = replayed.snapshots.len();
    let all: usize = stopped.stderr.split(' ').nth(2).and_then(|n| n.parse().ok()).unwrap_or(0);
    ensure!(all > kept && kept > 2, "{kept} of {all} kept: {stopped:?}");
    ensure!(most > MAX / 2, "only {most} bytes of {MAX} were used");
    compare::live(replayed.last()?, &host::ledger()?)?;
    let diff = once::hvsock_top(&["diff", "/tmp/ring/x.rec", "/tmp/ring/x.rec"])?;
    let told = format!("its first {} Snapshots were dropped", all - kept);
    ensure!(diff.stdout.contains(&told), "expected \"{told}\", got {diff:?}");
    Ok(())
}

/// Root without its capabilities may not write in somebody's folder; a bounded recording must go on there all the same.
fn others_folder() -> Result<()> {
    once::shell("mkdir /tmp/theirs && chmod 755 /tmp/theirs && chown 65534 /tmp/theirs")?;
    let mut recorder = Recorder::start("/tmp/theirs/x.rec", &["--interval", "10ms", "--max-size", "200K"])?;
    recorder.wait_for_size(100 << 10)?;
    std::thread::sleep(Duration::from_secs(2));
    let ended = recorder.end(Signal::INT)?;
    ensure!(ended.code == Some(0), "in somebody's folder: {ended:?}");
    let first = replay("/tmp/theirs/x.rec")?.whole()?.snapshots[0].number("interval_ns");
    ensure!(first.is_ok(), "it was never renewed");
    once::shell(
        "mkdir /tmp/closed && chmod 555 /tmp/closed && touch /tmp/closed/x.rec && chmod 666 /tmp/closed/x.rec",
    )?;
    let options = "record -o /tmp/closed/x.rec --force --max-size 1M";
    let refused = once::shell(&format!("guest caps BPF,PERFMON,SYS_ADMIN -- hvsock-top {options}"))?;
    refused.fails(1, &["Permission denied", "--max-size"])
}

fn closed_pipe() -> Result<()> {
    let ended = once::shell(
        "{ hvsock-top record -o - --interval 20ms; echo status $? >&2; } | head -c 20000 > /tmp/head.rec",
    )?;
    ensure!(
        ended.stderr.ends_with("status 1\n") && ended.stderr.contains("Broken pipe"),
        "a closed pipe: {ended:?}"
    );
    let replayed = replay("/tmp/head.rec")?;
    let ended = &replayed.ended;
    ensure!(ended.code == Some(1) && ended.stderr.contains("is cut off"), "a cut recording: {ended:?}");
    ensure!(!replayed.snapshots.is_empty(), "nothing was read of it");
    // Through a pipe into another.
    let ended = once::shell(
        "hvsock-top record -o - --interval 100ms 2>/dev/null | hvsock-top json --replay - --count 5 | wc -l",
    )?;
    ensure!(ended.stdout.trim() == "5", "through a pipe: {ended:?}");
    Ok(())
}
