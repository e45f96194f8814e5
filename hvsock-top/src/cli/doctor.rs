//! `hvsock-top doctor`: what can be observed here, what not, why, and how to fix it.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use super::{Failure, args::DoctorArgs, live::LiveArgs};
use crate::{
    collect::examine,
    model::{
        Backend, Module, Probe, ProbeState,
        doctor::{BtfSource, Capability, Doctor, InventorySource, Need, Problem, Severity, Verdict},
    },
};

/// Prints the report. Being blind is bad news; anything else is fine.
pub(super) fn run(args: &DoctorArgs, live: &LiveArgs) -> Result<ExitCode, Failure> {
    let report = examine(&live.options());
    let text = if args.json {
        serde_json::to_string(&report).map(|text| text + "\n").map_err(anyhow::Error::from)?
    } else {
        tell(&report)
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            return Err(Failure::output(&error));
        }
        _ => {}
    }
    Ok(if report.verdict == Verdict::Blind { ExitCode::from(Failure::BAD_NEWS) } else { ExitCode::SUCCESS })
}

/// The report for people.
fn tell(report: &Doctor) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, report);
    out
}

fn write_all(out: &mut String, report: &Doctor) -> std::fmt::Result {
    let active = report.probes.iter().filter(|p| p.state == ProbeState::Active).count();
    let all = report.probes.len();
    let summary = match report.verdict {
        Verdict::Blind => "BLIND: what hvsock-top does not show may well exist".to_owned(),
        Verdict::Degraded => {
            format!("degraded: connections are seen, {} of {all} probes are not there", all - active)
        }
        Verdict::Fine => format!("fine: all {all} probes work"),
    };
    let how = if report.proven { "tried: all attached, read once, detached" } else { "nothing is attached" };
    writeln!(out, "{summary} ({how})\n")?;

    writeln!(out, "kernel")?;
    row(out, "release", &known(report.kernel.as_deref()))?;
    row(out, "hypervisor", &known(report.hypervisor.as_deref()))?;
    row(out, "VMBus protocol", &known(report.vmbus_version.as_deref()))?;
    row(out, "types (BTF)", if report.kernel_btf { "described" } else { "not described" })?;
    for module in &report.modules {
        let presence = match (module.presence, module.loadable) {
            (Some(Module::Module), _) => "loaded module",
            (Some(Module::Builtin), _) => "built in",
            (Some(Module::Absent), Some(true)) => "not loaded, but there to be loaded",
            (Some(Module::Absent), Some(false)) => "not there",
            (Some(Module::Absent), None) => "not loaded",
            (None, _) => "unknown",
        };
        let types = match module.btf {
            BtfSource::Module => ", types in its own BTF",
            BtfSource::Image => ", types in the kernel's BTF",
            BtfSource::None if module.presence == Some(Module::Absent) => "",
            BtfSource::None => ", types not described",
        };
        row(out, &module.name, &format!("{presence}{types}"))?;
    }

    writeln!(out, "\nsettings")?;
    let security = &report.security;
    row(out, "user id", &security.uid.to_string())?;
    row(out, "first user namespace", &yes(security.initial_user_namespace))?;
    row(out, "no_new_privs", &yes(security.no_new_privs))?;
    row(out, "seccomp filter", &yes(security.seccomp_filter))?;
    row(out, "kernel.perf_event_paranoid", &known(security.perf_event_paranoid))?;
    row(out, "kernel.unprivileged_bpf_disabled", &known(security.unprivileged_bpf_disabled))?;
    row(out, "kernel.kptr_restrict", &known(security.kptr_restrict))?;
    row(out, "kernel lockdown", &known(security.lockdown.as_deref()))?;
    let tracefs = match (&report.mounts.tracefs, report.mounts.tracefs_readable) {
        (Some(at), Some(false)) => format!("{at}, not readable"),
        (Some(at), _) => at.clone(),
        (None, _) => "not mounted".into(),
    };
    row(out, "tracefs", &tracefs)?;
    row(out, "bpffs", report.mounts.bpffs.as_deref().unwrap_or("not mounted (not needed)"))?;
    row(out, "program", &known(report.binary.path.as_deref()))?;
    row(out, "its mount has nosuid", &yes(report.binary.nosuid))?;
    let given = report
        .binary
        .file_capabilities
        .as_ref()
        .map(|names| if names.is_empty() { "none".to_owned() } else { names.join(" ") });
    row(out, "its file capabilities", &known(given))?;

    writeln!(out, "\ncapabilities")?;
    for capability in &report.capabilities {
        row(out, &capability.name, &format!("{}: {}", standing(capability), capability.why))?;
    }

    writeln!(out, "\nprobes ({active} of {all} work)")?;
    // One reason for all is told once.
    let first = report.probes.first().and_then(|p| p.reason.as_deref());
    let common = first.filter(|_| report.probes.iter().all(|p| p.reason.as_deref() == first));
    if let Some(reason) = common {
        writeln!(out, "  {reason}")?;
    }
    for probe in &report.probes {
        writeln!(out, "  {}", line(probe, common.is_none()).trim_end())?;
    }

    if let Some(inventory) = &report.inventory {
        let source = match inventory.source {
            InventorySource::TaskFile => "a BPF iterator over all open files, again and again",
            InventorySource::SockDiag => "sock_diag, /proc and VMBus sysfs, once at the start",
            InventorySource::Sysfs => "VMBus sysfs, once at the start",
            InventorySource::None => "not",
        };
        writeln!(out, "\nwhat was there before is found by")?;
        writeln!(out, "  {source}; not known:")?;
        for unknown in &inventory.unknown {
            writeln!(out, "  - {unknown}")?;
        }
    }

    if report.problems.is_empty() {
        writeln!(out, "\nno problems")?;
    } else {
        writeln!(out, "\nproblems")?;
    }
    for problem in &report.problems {
        write_problem(out, problem)?;
    }
    Ok(())
}

fn row(out: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(out, "  {name:<33} {value}")
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "unknown".to_owned(), |v| v.to_string())
}

fn yes(value: Option<bool>) -> String {
    known(value.map(|yes| if yes { "yes" } else { "no" }))
}

fn standing(capability: &Capability) -> &'static str {
    match (capability.held, capability.met, capability.need) {
        (true, _, _) => "held",
        (false, true, Need::None) => "not held, not needed here",
        (false, true, _) => "not held, but CAP_SYS_ADMIN includes it",
        (false, false, Need::Required) => "MISSING",
        (false, false, _) => "not held, optional",
    }
}

fn line(probe: &Probe, with_reason: bool) -> String {
    let how = match (probe.state, probe.backend) {
        (ProbeState::Active, Backend::Fentry) => "fentry",
        (ProbeState::Active, Backend::Kprobe) => "kprobe",
        (ProbeState::Active, Backend::Tracepoint) => "tracepoint",
        (ProbeState::Active, Backend::Iterator) => "iterator",
        (ProbeState::Active, Backend::None) | (ProbeState::Failed, _) => "FAILED",
        (ProbeState::Unavailable, _) => "absent",
        (ProbeState::Denied, _) => "denied",
    };
    let essential = if probe.required { "essential" } else { "" };
    let symbol = probe.symbol.as_deref().unwrap_or("-");
    let reason = probe.reason.as_deref().filter(|_| with_reason).unwrap_or("");
    format!("{:<16} {how:<10} {essential:<9} {symbol:<28} {reason}", probe.event)
}

fn write_problem(out: &mut String, problem: &Problem) -> std::fmt::Result {
    let severity = match problem.severity {
        Severity::Blind => "blind",
        Severity::Degraded => "degraded",
        Severity::Note => "note",
    };
    writeln!(out, "  [{severity}] {}", problem.what)?;
    writeln!(out, "    {}", problem.fix)?;
    if let Some(command) = &problem.command {
        writeln!(out, "    $ {command}")?;
    }
    Ok(())
}
