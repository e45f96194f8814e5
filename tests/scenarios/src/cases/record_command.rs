//! Recording while a command runs.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};
use rustix::process::Signal;

use crate::once::{self, Ended};
use crate::recorder::{Recorder, replay};
use crate::runner::Scenario;
use crate::{compare, steps};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: std::time::Duration::from_mins(5),
    ..Scenario::new(
        "record_command",
        "a command is recorded from before its beginning to after its end; its status, signals and privileges are its own",
        run,
    )
};

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let ended = recorded("a", "guest echo 5000 3000 1 && exit 7")?;
    ensure!(ended.code == Some(7), "the command's status: {ended:?}");
    let replayed = replay("/tmp/a.rec")?.whole()?;
    compare::expect(&replayed.snapshots[0], "totals/tx_bytes", 0)?;
    compare::expect(replayed.last()?, "totals/tx_bytes", 3000)?;
    compare::totals(replayed.last()?, &steps::all_gone()?)?;

    let ended = recorded("b", "kill -9 $$")?;
    ensure!(ended.code == Some(137), "killed by a signal: {ended:?}");
    let ended = once::hvsock_top(&["record", "-o", "/tmp/none.rec", "--", "/no/such/command"])?;
    ended.fails(127, &["/no/such/command", "No such file"])?;
    ensure!(!Path::new("/tmp/none.rec").exists(), "a recording of nothing is left");
    once::hvsock_top(&["record", "-o", "-", "--", "true"])?.fails(2, &["stdout"])?;

    // A signal is handed on, and recording goes on until the command ends.
    let script = "trap 'sleep 1; exit 9' TERM; while :; do sleep 0.1; done";
    let recorder = Recorder::start("/tmp/c.rec", &["--interval", "100ms", "--", "sh", "-c", script])?;
    std::thread::sleep(std::time::Duration::from_millis(500));
    let stream = traffic::connect(5000)?;
    let ended = recorder.end(Signal::TERM)?;
    ensure!(ended.code == Some(9), "SIGTERM: {ended:?}");
    ensure!(replay("/tmp/c.rec")?.whole()?.snapshots.len() > 10, "recording ended before the command");
    traffic::close(stream)?;
    privileges()
}

/// Runs a shell script under `record`.
fn recorded(name: &str, script: &str) -> Result<Ended> {
    let file = format!("/tmp/{name}.rec");
    once::hvsock_top(&["record", "-o", &file, "--interval", "100ms", "--", "sh", "-c", script])
}

/// The command gets what a shell in our place would have given it, and none of our files.
fn privileges() -> Result<()> {
    let caps = "grep Cap /proc/self/status";
    let plain = once::shell(caps)?.stdout;
    let root = recorded("root", caps)?;
    ensure!(root.code == Some(0) && root.stdout == plain, "as root: {plain} became {root:?}");
    // Asked of the shell itself: a command of its own would have the folder open.
    let files = recorded(
        "files",
        "n=3; while [ $n -lt 60 ]; do [ -e /proc/$$/fd/$n ] && echo $n; n=$((n+1)); done; true",
    )?;
    ensure!(files.code == Some(0) && files.stdout.is_empty(), "open files: {files:?}");

    // Ambient capabilities, as a service has them, go on to the command.
    let shell = format!("guest caps BPF,PERFMON,SYS_ADMIN,DAC_READ_SEARCH -- sh -c '{caps}'");
    let ambient = once::shell(&shell)?.stdout;
    ensure!(!field(&ambient, "CapAmb")?.ends_with("0000000000000000"), "no ambient capabilities: {ambient}");
    std::fs::create_dir_all("/tmp/open")?;
    once::shell("chmod 777 /tmp/open")?;
    let with = "guest caps BPF,PERFMON,SYS_ADMIN,DAC_READ_SEARCH -- hvsock-top record -o /tmp/open/a.rec -- ";
    let got = once::shell(&format!("{with} sh -c '{caps}'"))?;
    ensure!(got.stdout == ambient, "as a service: {ambient} became {got:?}");

    // Capabilities of the file are ours alone.
    once::shell(
        "cp /bin/hvsock-top /tmp/open/top && guest setcap BPF,PERFMON,SYS_ADMIN,DAC_READ_SEARCH /tmp/open/top",
    )?;
    let none = once::shell(&format!("guest caps none -- sh -c '{caps}'"))?.stdout;
    let got = once::shell(&format!(
        "guest caps none -- /tmp/open/top record -o /tmp/open/b.rec -- sh -c '{caps}'"
    ))?;
    ensure!(got.code == Some(0) && got.stdout == none, "with setcap: {none} became {got:?}");
    ensure!(field(&got.stdout, "CapPrm")?.ends_with("0000000000000000"), "privileges leaked: {got:?}");
    // Nor do they open others' files for reading.
    once::shell("cp /tmp/a.rec /tmp/open/secret.rec && chmod 600 /tmp/open/secret.rec")?;
    let got = once::shell("guest caps none -- /tmp/open/top json --replay /tmp/open/secret.rec")?;
    got.fails(1, &["Permission denied"])
}

fn field<'a>(status: &'a str, name: &str) -> Result<&'a str> {
    status.lines().find(|l| l.starts_with(name)).with_context(|| format!("no {name} in {status}"))
}
