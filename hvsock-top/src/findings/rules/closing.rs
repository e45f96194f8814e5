//! Ends that do not come.

use std::cmp::Reverse;

use super::{Rule, count, ns, time};
use crate::{
    findings::{Draft, View},
    model::{Connection, Finding, Severity, State},
};

/// hv_sock waits 8 s for the host (`HVS_CLOSE_TIMEOUT`), and the timer wheel adds up to a quarter: after this it has surely given up.
const GIVEN_UP_NS: u64 = 9_000_000_000;

/// Connections in this state whose end began at least so long ago, the oldest first.
fn ending<'a>(view: &View<'a>, state: State, at_least_ns: u64) -> Vec<(&'a Connection, u64)> {
    let mut all: Vec<_> = view
        .now
        .connections
        .iter()
        .filter(|c| c.state == Some(state))
        .filter_map(|c| Some((c, c.ending_for_ns?)))
        .filter(|(_, since)| *since >= at_least_ns)
        .collect();
    all.sort_by_key(|(_, since)| Reverse(*since));
    all
}

fn memory(connections: &[(&Connection, u64)]) -> Option<u64> {
    connections.iter().map(|(c, _)| c.rings.memory_bytes).sum()
}

/// A finding about them. There must be one.
fn about(
    rule: &Rule,
    severity: Severity,
    connections: &[(&Connection, u64)],
    summary: String,
    remedy: &str,
) -> Draft {
    Draft::new(rule, severity, summary, remedy)
        .about(connections.iter().map(|(c, _)| c.id.as_str()))
        .with("connections", Some(connections.len() as u64))
        .with("longest_ns", connections.first().map(|(_, since)| *since))
}

pub(super) fn closing_stuck(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let mut stuck = ending(view, State::Closing, ns(view.limits.closing_ms));
    stuck.retain(|(_, since)| *since < GIVEN_UP_NS);
    let Some((_, longest)) = stuck.first().copied() else { return Vec::new() };
    let summary = format!(
        "{} for the host to answer the close, the longest for {}",
        count(stuck.len() as u64, "connection waits", "connections wait"),
        time(longest)
    );
    vec![
        about(
            rule,
            Severity::Warning,
            &stuck,
            summary,
            "look at the host's end of these connections: it has not closed them; after 8 s hv_sock gives up",
        )
        .limit("closing_ms", view.limits.closing_ms)
        .done(),
    ]
}

pub(super) fn channels_leaked(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let leaked = ending(view, State::Closing, GIVEN_UP_NS);
    let Some((_, longest)) = leaked.first().copied() else { return Vec::new() };
    let summary = format!(
        "{} still there {} after the guest closed: the host has not taken the channel back",
        count(leaked.len() as u64, "connection is", "connections are"),
        time(longest)
    );
    vec![
        about(rule, Severity::Critical, &leaked, summary, "look for host processes that keep these sockets open; each holds a channel and its rings until they let go")
        .with("ring_memory_bytes", memory(&leaked))
        .done(),
    ]
}

pub(super) fn close_timeouts(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let Some(timed_out) = view.grown(|s| s.closes.timed_out).filter(|n| *n > 0) else { return Vec::new() };
    let summary = format!("the host did not answer {} within 8 s", count(timed_out, "close", "closes"));
    vec![
        Draft::new(
            rule,
            Severity::Warning,
            summary,
            "look at the host's end of these connections: it reads neither the data nor the end",
        )
        .with("timed_out", Some(timed_out))
        .with("timed_out_total", view.now.closes.timed_out)
        .with("graceful", view.grown(|s| s.closes.graceful))
        .done(),
    ]
}

pub(super) fn sockets_abandoned(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let abandoned = ending(view, State::Rescinded, ns(view.limits.abandoned_ms));
    let Some((oldest, longest)) = abandoned.first().copied() else { return Vec::new() };
    let who = oldest.comm.as_deref().unwrap_or("a process");
    let summary = format!(
        "{who} still holds {} that the host took away, the oldest {} ago",
        count(abandoned.len() as u64, "connection", "connections"),
        time(longest)
    );
    vec![
        about(rule, Severity::Warning, &abandoned, summary, "the process does not close its sockets after the end: a leak of file descriptors, channels and rings")
        .with("ring_memory_bytes", memory(&abandoned))
        .with("pid", oldest.pid)
        .limit("abandoned_ms", view.limits.abandoned_ms)
        .done(),
    ]
}

pub(super) fn teardown_failed(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let failed = view.now.totals.teardown_failures;
    let Some(failed) = failed.filter(|n| *n > 0) else { return Vec::new() };
    let summary = format!("{} of a ring failed: its memory is lost", count(failed, "teardown", "teardowns"));
    vec![
        Draft::new(
            rule,
            Severity::Critical,
            summary,
            "the host refuses to give memory back; look for hv_vmbus messages in the kernel log, and plan a restart",
        )
        .with("failures", Some(failed))
        .with("recent_failures", view.grown(|s| s.totals.teardown_failures))
        .done(),
    ]
}
