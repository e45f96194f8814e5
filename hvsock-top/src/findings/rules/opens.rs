//! Connections that do not come about.

use std::{collections::BTreeMap, fmt::Write as _};

use super::{Rule, count, ns, time};
use crate::{
    findings::{Draft, View},
    model::{Connection, Direction, Finding, Port, Severity, State},
};

pub(super) fn backlog_full(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    for listener in &view.now.listeners {
        let Some(drops) = view.listener_grown(listener, |l| l.drops.backlog_full) else { continue };
        if drops == 0 || drops < view.limits.backlog_drops {
            continue;
        }
        let rate = |n: u64| n as f64 / view.seconds();
        let accepted = view.listener_grown(listener, |l| l.accepted);
        let who = listener.comm.as_deref().unwrap_or("the listener");
        let summary = format!(
            "{} at port {}: the backlog of {who} was full ({} at most)",
            count(drops, "connection of the host's was dropped", "connections of the host's were dropped"),
            listener.port,
            listener.max_backlog.map_or_else(|| "?".to_owned(), |n| n.to_string()),
        );
        found.push(
            Draft::new(
                rule,
                Severity::Critical,
                summary,
                "accept faster, or give listen(2) a larger backlog; the host is told nothing, its connect times out",
            )
            .at_port(listener.port)
            .with("drops", Some(drops))
            .with("drops_per_second", Some(rate(drops)))
            .with("accepts_per_second", accepted.map(rate))
            .with("backlog", listener.backlog)
            .with("max_backlog", listener.max_backlog)
            .with("peak_backlog", listener.peak_backlog)
            .with("drops_total", listener.drops.backlog_full)
            .limit("backlog_drops", view.limits.backlog_drops)
            .done(),
        );
    }
    found
}

/// A child that waits to be accepted, as far as the whole wait was seen.
fn is_waiting(connection: &Connection) -> bool {
    connection.direction == Some(Direction::FromHost)
        && connection.state == Some(State::Established)
        && connection.known_since_start
        && connection.latency.accept_wait_ns.is_none()
}

pub(super) fn accept_starved(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    // Without the probe none would ever be accepted.
    if view.now.latency.get("accept_wait").is_none_or(Option::is_none) {
        return Vec::new();
    }
    let mut ports: BTreeMap<u32, Vec<&Connection>> = BTreeMap::new();
    for connection in view.now.connections.iter().filter(|c| is_waiting(c)) {
        if let Some(port) = connection.local_port {
            ports.entry(port).or_default().push(connection);
        }
    }
    let mut found = Vec::new();
    for (port, mut waiting) in ports {
        waiting.sort_by_key(|c| std::cmp::Reverse(c.age_ns));
        let Some(oldest) = waiting.first().and_then(|c| c.age_ns) else { continue };
        if oldest < ns(view.limits.accept_wait_ms) {
            continue;
        }
        let listener = view.now.listeners.iter().find(|l| l.port == port);
        let accepted = listener.and_then(|l| view.listener_grown(l, |l| l.accepted));
        let summary = format!(
            "{} to be accepted at port {port}, the oldest for {}",
            count(waiting.len() as u64, "connection waits", "connections wait"),
            time(oldest)
        );
        found.push(
            Draft::new(
                rule,
                Severity::Warning,
                summary,
                "look at what the listening process does instead of calling accept(2); its backlog fills up next",
            )
            .at_port(port)
            .about(waiting.iter().map(|c| c.id.as_str()))
            .with("waiting", Some(waiting.len() as u64))
            .with("oldest_wait_ns", Some(oldest))
            .with("accepts_per_second", accepted.map(|n| n as f64 / view.seconds()))
            .with("backlog", listener.and_then(|l| l.backlog))
            .with("max_backlog", listener.and_then(|l| l.max_backlog))
            .limit("accept_wait_ms", view.limits.accept_wait_ms)
            .done(),
        );
    }
    found
}

/// Guest connects to one port that failed in this way, within the window.
fn failed(view: &View<'_>, port: &Port, why: &str) -> Option<u64> {
    view.port_grown(port, |p| Some(p.connects.get(why).copied().unwrap_or(0)))
}

pub(super) fn connect_timeouts(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    for port in view.ports(Direction::ToHost) {
        let Some(timed_out) = failed(view, port, "timed_out") else { continue };
        if timed_out == 0 || timed_out < view.limits.connect_timeouts {
            continue;
        }
        let summary =
            format!("{} to the host's port {} timed out", count(timed_out, "connect", "connects"), port.port);
        found.push(
            Draft::new(
                rule,
                Severity::Warning,
                summary,
                "check that the host's service listens; hosts that cannot say no make the guest wait (SO_VM_SOCKETS_CONNECT_TIMEOUT, 2 s)",
            )
            .at_port(port.port)
            .with("timed_out", Some(timed_out))
            .with("timed_out_total", port.connects.get("timed_out").copied())
            .with("established", view.port_grown(port, |p| Some(p.offers.get("ok").copied().unwrap_or(0))))
            .limit("connect_timeouts", view.limits.connect_timeouts)
            .done(),
        );
    }
    found
}

pub(super) fn connect_refused(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    // The host's message does not say which connect it refuses, and to the process a refusal looks as the kernel makes it look: on most
    // kernels like a time-out.
    let messages = view.grown(|s| s.totals.host_refusals);
    let returned = view.grown(|s| s.opens.to_host.refused);
    let refused = messages.unwrap_or(0).max(returned.unwrap_or(0));
    if refused == 0 || refused < view.limits.connect_refusals {
        return Vec::new();
    }
    let in_vain = |port: &&Port| {
        ["refused", "timed_out"].iter().any(|why| failed(view, port, why).is_some_and(|n| n > 0))
    };
    let ports: Vec<_> = view.ports(Direction::ToHost).filter(in_vain).map(|p| p.port).collect();
    let mut summary = format!("the host refused {}", count(refused, "connect", "connects"));
    let draft = match ports[..] {
        [port] => {
            let _ = write!(summary, " to its port {port}");
            Draft::new(rule, Severity::Warning, summary, REFUSED).at_port(port)
        }
        _ => Draft::new(rule, Severity::Warning, summary, REFUSED),
    };
    vec![
        draft
            .with("refused", Some(refused))
            .with("refused_per_second", Some(refused as f64 / view.seconds()))
            .with("host_refusals", messages)
            .with("connects_refused", returned)
            .with("ports_in_vain", Some(ports.len() as u64))
            .limit("connect_refusals", view.limits.connect_refusals)
            .done(),
    ]
}

const REFUSED: &str = "start the host's service, or let the guest wait longer before it tries again";

pub(super) fn no_listener(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    for port in view.ports(Direction::FromHost) {
        let tried = view.port_grown(port, |p| Some(p.offers.get("no_listener").copied().unwrap_or(0)));
        let Some(tried) = tried.filter(|n| *n > 0 && *n >= view.limits.no_listener) else { continue };
        let summary = format!(
            "the host tried {} to connect to port {}, where nobody listens",
            count(tried, "time", "times"),
            port.port
        );
        found.push(
            Draft::new(
                rule,
                Severity::Info,
                summary,
                "start the guest's service, or stop the host's; each try holds a channel until the host takes it back",
            )
            .at_port(port.port)
            .with("tries", Some(tried))
            .with("tries_per_second", Some(tried as f64 / view.seconds()))
            .limit("no_listener", view.limits.no_listener)
            .done(),
        );
    }
    found
}

pub(super) fn not_permitted(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let binds = view.grown(|s| s.totals.binds_not_permitted);
    let connects = view.grown(|s| s.opens.to_host.not_permitted);
    if binds.unwrap_or(0) + connects.unwrap_or(0) == 0 {
        return Vec::new();
    }
    let summary = format!(
        "{} and {} were refused with EPERM or EACCES",
        count(binds.unwrap_or(0), "bind", "binds"),
        count(connects.unwrap_or(0), "connect", "connects")
    );
    vec![
        Draft::new(
            rule,
            Severity::Info,
            summary,
            "ports below 1024 need CAP_NET_BIND_SERVICE; a security module (AppArmor, SELinux, a sandbox) may forbid the rest",
        )
        .with("binds", binds)
        .with("connects", connects)
        .done(),
    ]
}
