//! What `hvsock-top doctor` says to somebody who may not do everything, and what helps.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};
use serde_json::{Value, json};

use crate::doctor::Report;
use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "doctor_not_root",
        "each capability that is missing is named, and the commands given make an ordinary user see everything",
        run,
    )
};

/// A file system of its own for the program, to be mounted otherwise.
const PLACE: &str = "/place";
/// Where doctor tells to put it if that does not allow file capabilities.
const ELSEWHERE: &str = "/usr/local/bin";
const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

fn run() -> Result<()> {
    let level = fs::read_to_string(PARANOID)?;
    let result = prepare().and_then(|()| missing().and_then(|()| on_nosuid()));
    // The scenarios that follow find everything as it was, whatever happened.
    fs::write(PARANOID, level)?;
    for place in [PLACE, ELSEWHERE] {
        unmount(place, UnmountFlags::empty()).with_context(|| format!("cannot unmount {place}"))?;
    }
    result
}

fn prepare() -> Result<()> {
    for place in [PLACE, ELSEWHERE] {
        fs::create_dir_all(place)?;
        mount("none", place, "tmpfs", MountFlags::empty(), Some(c"mode=755"))
            .with_context(|| format!("cannot mount at {place}"))?;
    }
    fs::copy("/bin/hvsock-top", format!("{PLACE}/hvsock-top"))?;
    // Debian's default, and the level from which on its kernels refuse kprobes to those without CAP_SYS_ADMIN.
    fs::write(PARANOID, "3").context("cannot set perf_event_paranoid")
}

/// `hvsock-top` at `place`, run by nobody with these capabilities.
fn nobody(capabilities: &str, place: &str, arguments: &str) -> String {
    format!("guest caps {capabilities} -- {place}/hvsock-top {arguments}")
}

fn doctor(capabilities: &str, place: &str) -> String {
    nobody(capabilities, place, "doctor --json")
}

/// From nothing to everything, one command of the report after the other.
fn missing() -> Result<()> {
    let user = doctor("none", PLACE);
    let report = Report::of(&user)?;
    report.is("blind", &["capability_missing", "perf_event_paranoid", "tracefs_not_readable"])?;
    ensure!(*report.at("proven") == false && *report.at("security/uid") == 65534, "who is it?");
    has(
        &report,
        &[
            ("CAP_BPF", false, "required", false),
            ("CAP_PERFMON", false, "required", false),
            ("CAP_SYS_ADMIN", false, "required", false),
            ("CAP_DAC_READ_SEARCH", false, "optional", false),
            ("CAP_SYSLOG", false, "optional", false),
        ],
    )?;
    once::shell(&nobody("none", PLACE, "json --once"))?.fails(3, &["not permitted", "setcap"])?;

    // Neither half of the pair is enough, and only the other is missing.
    for (held, other) in [("BPF", "CAP_PERFMON"), ("PERFMON", "CAP_BPF")] {
        let report = Report::of(&doctor(held, PLACE))?;
        report.is("blind", &["capability_missing", "perf_event_paranoid", "tracefs_not_readable"])?;
        let what = &report.one("problems", "code", "capability_missing")?["what"];
        let told = what.as_str().unwrap_or_default();
        ensure!(told.starts_with(&format!("not held: {other}, ")), "expected {other} alone: {told}");
        once::shell(&nobody(held, PLACE, "json --once"))?.fails(3, &["not permitted"])?;
    }

    // As a service manager gives them. The level is what stands in the way then, and where it does not, all is well but for tracepoints.
    let both = doctor("BPF,PERFMON", PLACE);
    let paranoid = Report::of(&both)?;
    paranoid.is("blind", &["perf_event_paranoid", "tracefs_not_readable"])?;
    once::shell(&nobody("BPF,PERFMON", PLACE, "json --once"))?
        .fails(3, &["not permitted to attach", "perf_event_paranoid"])?;
    let report = paranoid.fix("perf_event_paranoid", &both)?;
    report.is("degraded", &["tracefs_not_readable", "vmbus_version_unknown", "kprobes_only"])?;
    has(
        &report,
        &[
            ("CAP_BPF", true, "required", true),
            ("CAP_PERFMON", true, "required", true),
            ("CAP_SYS_ADMIN", false, "optional", false),
            ("CAP_DAC_READ_SEARCH", false, "optional", false),
            ("CAP_SYSLOG", false, "optional", false),
        ],
    )?;
    // The tracepoint that takes no tracefs is seen all the same.
    backends(&report, &["kprobe", "tracepoint", "iterator", "none"])?;
    ensure!(report.one("probes", "event", "interrupt")?["state"] == "active", "no interrupts");
    ensure!(
        report.list("probes")?.iter().filter(|p| p["backend"] == "kprobe").count() > 20,
        "hardly a kprobe"
    );
    let snapshot = once::shell(&nobody("BPF,PERFMON", PLACE, "json --once"))?.snapshot()?;
    ensure!(snapshot.at("probes") == Some(report.at("probes")), "other probes than doctor's");
    Report::of(&doctor("BPF,PERFMON,DAC_READ_SEARCH", PLACE))?
        .is("fine", &["vmbus_version_unknown", "kprobes_only"])?;
    // CAP_SYS_ADMIN includes the two.
    let admin = Report::of(&doctor("SYS_ADMIN", PLACE))?;
    admin.is("degraded", &["tracefs_not_readable", "vmbus_version_unknown"])?;
    has(&admin, &[("CAP_BPF", false, "required", true), ("CAP_PERFMON", false, "required", true)])?;

    // As setcap gives them: to whoever runs the file.
    let report = Report::of(&user)?;
    report.is("blind", &["capability_missing", "tracefs_not_readable"])?;
    let report = report.fix("capability_missing", &user)?;
    report.is("fine", &["vmbus_version_unknown", "kprobes_only"])?;
    let given = json!(["CAP_DAC_READ_SEARCH", "CAP_PERFMON", "CAP_BPF"]);
    ensure!(*report.at("binary/file_capabilities") == given, "{}", report.at("binary"));
    once::shell(&nobody("none", PLACE, "json --once"))?.snapshot()?;
    let report = report.fix("vmbus_version_unknown", &user)?;
    report.is("fine", &["kprobes_only"])?;
    ensure!(*report.at("vmbus_version") == "5.3", "the version: {}", report.at("vmbus_version"));
    let report = report.fix("kprobes_only", &user)?;
    report.is("fine", &[])?;
    backends(&report, &["fentry", "kprobe", "tracepoint", "iterator"])
}

/// Where file capabilities have no effect, they are missing as before, and a copy elsewhere helps.
fn on_nosuid() -> Result<()> {
    mount_remount(PLACE, MountFlags::NOSUID, c"")?;
    let report = Report::of(&doctor("none", PLACE))?;
    report.is("blind", &["nosuid", "capability_missing", "tracefs_not_readable"])?;
    ensure!(*report.at("binary/nosuid") == true, "{}", report.at("binary"));
    report.run("nosuid")?;
    report.run("capability_missing")?;
    let report = Report::without("nosuid", &doctor("none", ELSEWHERE))?;
    report.is("fine", &[])?;
    ensure!(*report.at("binary/path") == format!("{ELSEWHERE}/hvsock-top"), "{}", report.at("binary"));
    // In a process that may not gain privileges they have no effect either.
    let report = Report::of(&format!("setpriv --nnp {}", doctor("none", ELSEWHERE)))?;
    report.is("blind", &["capability_missing", "no_new_privs", "tracefs_not_readable"])?;
    ensure!(*report.at("security/no_new_privs") == true, "{}", report.at("security"));
    Ok(())
}

/// Name, held, how much needed, whether the need is met.
fn has(report: &Report, expected: &[(&str, bool, &str, bool)]) -> Result<()> {
    for (name, held, need, met) in expected {
        let got = report.one("capabilities", "name", name)?;
        let wanted = json!([held, need, met]);
        ensure!(json!([got["held"], got["need"], got["met"]]) == wanted, "expected {wanted}, got {got}");
        ensure!(got["why"].as_str().is_some_and(|why| !why.is_empty()), "what for? {got}");
    }
    Ok(())
}

/// Each of these serves a probe, and nothing else does, but for a kprobe where a trampoline cannot be.
fn backends(report: &Report, expected: &[&str]) -> Result<()> {
    let probes = report.list("probes")?;
    let is_idle =
        |backend: &&&str| **backend != "kprobe" && !probes.iter().any(|p| p["backend"] == ***backend);
    let idle: Vec<_> = expected.iter().filter(is_idle).collect();
    let other: Vec<&Value> = probes.iter().filter(|p| !expected.iter().any(|b| p["backend"] == *b)).collect();
    ensure!(idle.is_empty() && other.is_empty(), "no probe by {idle:?}; by something else: {other:?}");
    Ok(())
}
