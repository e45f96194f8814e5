//! What things are called on the screen.

use crate::model::{Backend, Direction, EventKind, Family, Module, ProbeState, Severity, State};

/// A state.
pub(super) fn state(state: State) -> &'static str {
    match state {
        State::Opening => "opening",
        State::Established => "established",
        State::Closing => "closing",
        State::Rescinded => "rescinded",
        State::Closed => "closed",
    }
}

/// A state, in a table.
pub(super) fn short_state(its: State) -> &'static str {
    match its {
        State::Established => "estab",
        other => state(other),
    }
}

/// A direction, in a column about the host.
pub(super) fn short_direction(direction: Direction) -> &'static str {
    match direction {
        Direction::FromHost => "from",
        Direction::ToHost => "to",
    }
}

/// A direction, for people.
pub(super) fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::FromHost => "from host",
        Direction::ToHost => "to host",
    }
}

/// A direction, as in JSON.
pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::FromHost => "from_host",
        Direction::ToHost => "to_host",
    }
}

/// An event.
pub(super) fn event(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Opened => "opened",
        EventKind::OpenFailed => "open failed",
        EventKind::Accepted => "accepted",
        EventKind::Closed => "closed",
        EventKind::ConnectFailed => "connect failed",
        EventKind::Lost => "lost",
    }
}

/// How bad a finding is.
pub(super) fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// How a probe is attached.
pub(super) fn backend(backend: Backend) -> &'static str {
    match backend {
        Backend::Fentry => "fentry",
        Backend::Kprobe => "kprobe",
        Backend::Tracepoint => "tracepoint",
        Backend::Iterator => "iterator",
        Backend::None => "none",
    }
}

/// Whether a probe works.
pub(super) fn probe_state(state: ProbeState) -> &'static str {
    match state {
        ProbeState::Active => "active",
        ProbeState::Unavailable => "unavailable",
        ProbeState::Denied => "denied",
        ProbeState::Failed => "failed",
    }
}

/// Where hv_sock comes from.
pub(super) fn hv_sock(module: Module) -> &'static str {
    match module {
        Module::Module => "module",
        Module::Builtin => "built in",
        Module::Absent => "absent",
    }
}

/// The sockets' family.
pub(super) fn family(family: Family) -> &'static str {
    match family {
        Family::Vsock => "vsock",
        Family::AfHyperv => "AF_HYPERV",
    }
}

/// What a latency histogram measures: its title, and what it means.
pub(super) fn latency(name: &str) -> (&str, &'static str) {
    match name {
        "connect" => ("connect", "the guest's connect, until established"),
        "offer_to_probe" => {
            ("offer to probe", "offer message until hvs_probe begins: the queue behind one worker")
        }
        "lookup" => ("lookup", "looking for the bound socket"),
        "ring_alloc" => ("ring allocation", "contiguous memory for both rings"),
        "host_open" => ("host opens", "the host's answer to the open request"),
        "other_open" => ("rest of the open", "the rest of hvs_probe, until established"),
        "accept_wait" => ("wait for accept", "queued in the backlog until accepted"),
        "first_byte_tx" => ("first byte out", "established until the guest sends"),
        "first_byte_rx" => ("first byte in", "established until the guest receives"),
        "send_stall" => ("send stall", "a sender waiting for room in the ring"),
        "recv_wait" => ("receive wait", "a reader waiting for data"),
        "callback_delay" => ("callback delay", "the host's signal until the channel callback runs"),
        "callback_run" => ("callback run", "inside the channel callback"),
        "close" => ("close", "the guest's close until the channel is gone"),
        other => (other, ""),
    }
}

/// The order in which latencies are shown: as things happen. Others come after.
pub(super) const LATENCIES: &[&str] = &[
    "connect",
    "offer_to_probe",
    "lookup",
    "ring_alloc",
    "host_open",
    "other_open",
    "accept_wait",
    "first_byte_tx",
    "first_byte_rx",
    "send_stall",
    "recv_wait",
    "callback_delay",
    "callback_run",
    "close",
];

/// Name and number of a process, as far as they are known.
pub(super) fn process(comm: Option<&str>, pid: Option<u32>) -> String {
    match (comm, pid) {
        (Some(comm), Some(pid)) => format!("{comm}[{pid}]"),
        (None, Some(pid)) => format!("[{pid}]"),
        (Some(comm), None) => comm.to_owned(),
        (None, None) => super::format::UNKNOWN.to_owned(),
    }
}
