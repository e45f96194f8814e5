//! What the tool says about itself: what it sees, what it missed, what it takes.

use super::{counter, gauge};
use crate::{
    export::{
        family::{Family, Kind, Unit, Value, label},
        health,
    },
    model::{Backend, Family as SocketFamily, Module, ProbeState, Snapshot},
};

pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut all = vec![probes(snapshot)];
    all.extend(accounting(snapshot));
    all.extend(cost(snapshot));
    all.extend(infos(snapshot));
    all
}

fn probes(snapshot: &Snapshot) -> Family {
    let mut family = gauge("probe_attached", None, "Whether an event is seen, and how.");
    for probe in &snapshot.probes {
        let backend = match probe.backend {
            Backend::Fentry => "fentry",
            Backend::Kprobe => "kprobe",
            Backend::Tracepoint => "tracepoint",
            Backend::Iterator => "iterator",
            Backend::None => "none",
        };
        let labels = vec![label("event", probe.event.clone()), label("backend", backend)];
        family.flag(labels, probe.state == ProbeState::Active);
    }
    family
}

fn accounting(snapshot: &Snapshot) -> Vec<Family> {
    let mut events = counter(
        "accounting_events",
        None,
        "Events that a hook has seen, by what became of them; the sum over the outcomes is all of them.",
    );
    let mut missed =
        counter("accounting_missed", None, "Events that the kernel did not deliver to the programs.");
    let mut unpaired =
        counter("accounting_unpaired", None, "Returns from a function without the entry into it.");
    for (hook, row) in &snapshot.accounting.hooks {
        for (outcome, value) in [
            ("recorded", row.recorded),
            ("filtered", row.filtered),
            ("ring_full", row.ring_full),
            ("map_full", row.map_full),
            ("faulted", row.faulted),
        ] {
            events.whole(vec![label("hook", hook.clone()), label("outcome", outcome)], Some(value));
        }
        missed.whole(vec![label("hook", hook.clone())], row.missed);
        unpaired.whole(vec![label("hook", hook.clone())], Some(row.unpaired));
    }
    let mut reconciled = gauge(
        "accounting_reconciled",
        None,
        "Whether every sum adds up and nothing is known to have been missed.",
    );
    reconciled.flag(Vec::new(), snapshot.accounting.reconciled);
    let mut blind = gauge("blind", None, "Whether an event is not seen without which nothing can be told.");
    blind.flag(Vec::new(), !health::blindness(snapshot).is_empty());
    vec![events, missed, unpaired, reconciled, blind]
}

fn cost(snapshot: &Snapshot) -> Vec<Family> {
    let mut cpu = counter(
        "tool_cpu",
        Some(Unit::Seconds),
        "CPU time of hvsock-top in user space and system calls; its programs in the kernel are not in it.",
    );
    cpu.nanoseconds(Vec::new(), snapshot.tool.cpu_ns);
    let mut memory = gauge("tool_resident_memory", Some(Unit::Bytes), "Memory that hvsock-top has resident.");
    memory.whole(Vec::new(), snapshot.tool.resident_bytes);
    let mut taken =
        gauge("snapshot_timestamp", Some(Unit::Seconds), "When these figures were taken, Unix time.");
    taken.add(Vec::new(), unix_time(&snapshot.time).map(Value::Real));
    let mut observed = gauge("observed", Some(Unit::Seconds), "How long the probes have been attached.");
    observed.nanoseconds(Vec::new(), snapshot.observed_ns);
    vec![cpu, memory, taken, observed]
}

fn unix_time(time: &str) -> Option<f64> {
    let time: jiff::Timestamp = time.parse().ok()?;
    Some(time.as_millisecond() as f64 / 1e3)
}

fn infos(snapshot: &Snapshot) -> Vec<Family> {
    let mut build = Family::new(Kind::Info, "build", None, "The version of hvsock-top.");
    build.whole(vec![label("version", snapshot.tool.version.clone())], Some(1));
    let host = &snapshot.host;
    let module = match host.hv_sock {
        Module::Module => "module",
        Module::Builtin => "builtin",
        Module::Absent => "absent",
    };
    let family = match host.family {
        SocketFamily::Vsock => "vsock",
        SocketFamily::AfHyperv => "af_hyperv",
    };
    let mut labels = vec![
        label("kernel", host.kernel.clone()),
        label("hostname", host.hostname.clone()),
        label("hv_sock", module),
        label("family", family),
    ];
    labels.extend(host.vmbus_version.clone().map(|version| label("vmbus_version", version)));
    let mut guest = Family::new(Kind::Info, "host", None, "The guest.");
    guest.whole(labels, Some(1));
    vec![build, guest]
}
