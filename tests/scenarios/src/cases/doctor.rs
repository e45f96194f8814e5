//! What `hvsock-top doctor` says to somebody who may do everything.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::doctor::{DOCTOR, Report, with_stand_ins};
use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "doctor",
        "doctor: fine, degraded or blind as what is missing demands, and its commands put it right",
        run,
    )
};

fn run() -> Result<()> {
    let fine = all_is_there()?;
    denied(&fine)?;
    no_tracefs()?;
    no_btf()?;
    let result = no_hv_sock();
    // The scenarios that follow want it loaded, whatever happened.
    let ended = once::shell("grep -q '^hv_sock ' /proc/modules || insmod /mod/hv_sock.ko")?;
    ensure!(ended.code == Some(0), "{ended:?}");
    result
}

fn all_is_there() -> Result<Report> {
    let report = Report::of(DOCTOR)?;
    report.is("fine", &[])?;
    let line = |path: &str| -> Result<String> {
        Ok(fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?.trim().to_owned())
    };
    let setting = |name: &str| -> Result<i64> { Ok(line(&format!("/proc/sys/kernel/{name}"))?.parse()?) };
    for (path, expected) in [
        ("proven", json!(true)),
        ("kernel", line("/proc/sys/kernel/osrelease")?.into()),
        ("kernel_btf", json!(true)),
        ("vmbus_version", json!("5.3")),
        ("security/uid", json!(0)),
        ("security/initial_user_namespace", json!(true)),
        ("security/no_new_privs", json!(false)),
        ("security/seccomp_filter", json!(false)),
        ("security/perf_event_paranoid", setting("perf_event_paranoid")?.into()),
        ("security/unprivileged_bpf_disabled", setting("unprivileged_bpf_disabled")?.into()),
        ("security/kptr_restrict", setting("kptr_restrict")?.into()),
        ("mounts/tracefs", json!("/sys/kernel/tracing")),
        ("mounts/tracefs_readable", json!(true)),
        ("mounts/bpffs", json!("/sys/fs/bpf")),
        ("binary/path", json!("/bin/hvsock-top")),
        ("binary/nosuid", json!(false)),
        ("binary/file_capabilities", json!([])),
    ] {
        ensure!(*report.at(path) == expected, "{path}: expected {expected}, got {}", report.at(path));
    }
    for name in ["hv_vmbus", "vsock", "hv_sock"] {
        let expected = json!({ "name": name, "presence": "module", "btf": "module", "loadable": null });
        let got = report.one("modules", "name", name)?;
        ensure!(*got == expected, "expected {expected}, got {got}");
    }
    for capability in report.list("capabilities")? {
        let fine = ["held", "obtainable", "met"].iter().all(|name| capability[name] == true);
        ensure!(fine, "root holds all: {capability}");
    }
    // What doctor says of the probes is what those who use them find.
    let snapshot = once::hvsock_top(&["json", "--once"])?.snapshot()?;
    ensure!(snapshot.at("probes") == Some(report.at("probes")), "other probes than a Snapshot's");
    for probe in report.list("probes")? {
        ensure!(probe["state"] == "active" && probe["backend"] != "none", "not active: {probe}");
    }
    ensure!(report.list("probes")?.len() > 25, "{} probes", report.list("probes")?.len());
    Ok(report)
}

/// Without a probe that is essential it is blind, without any other it is not.
fn denied(fine: &Report) -> Result<()> {
    for event in ["open", "offer"] {
        let report = Report::of(&format!("{DOCTOR} --deny-probe {event}"))?;
        let essential = fine.one("probes", "event", event)?["required"] == true;
        ensure!(essential == (event == "open"), "{event}: {essential}");
        report.is(if essential { "blind" } else { "degraded" }, &["probe_denied"])?;
        let without: Vec<&Value> =
            report.list("probes")?.iter().filter(|probe| probe["state"] != "active").collect();
        let [one] = without[..] else { anyhow::bail!("expected one, got {without:?}") };
        ensure!(one["event"] == event && one["state"] == "denied" && one["backend"] == "none", "{one}");
        let fix = &report.one("problems", "code", "probe_denied")?["fix"];
        ensure!(*fix == format!("leave out --deny-probe {event}"), "what to do: {fix}");
    }
    let kprobes = Report::of(&format!("{DOCTOR} --kprobes"))?;
    kprobes.is("fine", &[])?;
    let fentry = kprobes.list("probes")?.iter().find(|probe| probe["backend"] == "fentry");
    ensure!(fentry.is_none(), "not a kprobe: {fentry:?}");
    Ok(())
}

/// In a mount namespace of its own, without tracefs: what only tracepoints see is not seen. Mounting it helps.
fn no_tracefs() -> Result<()> {
    let without = |then: &str| {
        format!(
            "unshare -m sh -c 'umount /sys/kernel/debug/tracing 2>/dev/null; umount /sys/kernel/debug /sys/kernel/tracing; {then}'"
        )
    };
    let report = Report::of(&without(DOCTOR))?;
    report.is("degraded", &["tracefs_not_mounted"])?;
    ensure!(report.at("mounts/tracefs").is_null(), "it is mounted at {}", report.at("mounts/tracefs"));
    for probe in report.list("probes")? {
        let seen = ["host_message", "teardown"].iter().all(|event| probe["event"] != *event);
        ensure!((probe["state"] == "active") == seen, "{probe}");
        let why = probe["reason"].as_str().unwrap_or_default();
        ensure!(seen || why.starts_with("tracefs does not show hyperv:"), "{probe}");
    }
    let command = with_stand_ins(report.command("tracefs_not_mounted")?)?;
    Report::without("tracefs_not_mounted", &without(&format!("{command} && {DOCTOR}")))?.is("fine", &[])
}

fn no_btf() -> Result<()> {
    let report = Report::of(&format!("unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && {DOCTOR}'"))?;
    report.is("blind", &["no_btf"])?;
    ensure!(*report.at("kernel_btf") == false && *report.at("proven") == false, "nothing can be proven");
    let active = report.list("probes")?.iter().find(|p| p["state"] == "active" || p["reason"].is_null());
    ensure!(active.is_none(), "without BTF nothing is active, and each probe says why: {active:?}");
    Ok(())
}

/// Without hv_sock there is nothing to see, and that is not the same as a quiet host. Loading it helps.
fn no_hv_sock() -> Result<()> {
    let script = |text: &str| -> Result<()> {
        let ended = once::shell(text)?;
        ensure!(ended.code == Some(0), "{text}: {ended:?}");
        Ok(())
    };
    script("rmmod hv_sock")?;
    let report = Report::of(DOCTOR)?;
    report.is("blind", &["hv_sock_absent"])?;
    let hv_sock = report.one("modules", "name", "hv_sock")?;
    ensure!(
        hv_sock["presence"] == "absent" && hv_sock["loadable"].is_null(),
        "there is no /lib/modules: {hv_sock}"
    );
    // A distribution's folder of modules, with this one in it.
    script("d=/lib/modules/$(uname -r); mkdir -p $d && cp /mod/*.ko $d && depmod")?;
    let report = Report::of(DOCTOR)?;
    report.is("blind", &["hv_sock_absent"])?;
    ensure!(report.one("modules", "name", "hv_sock")?["loadable"] == true, "there it lies");
    let result = report.fix("hv_sock_absent", DOCTOR);
    script("rm -r /lib/modules")?;
    result?.is("fine", &[])
}
