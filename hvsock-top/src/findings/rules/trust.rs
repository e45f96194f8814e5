//! Whether the tool can be believed.

use super::{Rule, count};
use crate::{
    findings::{Draft, View},
    model::{Finding, Module, ProbeState, Severity},
};

pub(super) fn blind(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let missing: Vec<_> =
        view.now.probes.iter().filter(|p| p.required && p.state != ProbeState::Active).collect();
    let absent = view.now.host.hv_sock == Module::Absent;
    if missing.is_empty() && !absent {
        return Vec::new();
    }
    let reason = missing.iter().find_map(|p| p.reason.as_deref()).unwrap_or("hv_sock is not loaded");
    let summary = format!("what must be seen cannot be seen: {reason}");
    vec![
        Draft::new(rule, Severity::Critical, summary, "ask `hvsock-top doctor` what to do")
            .with("probes_missing", Some(missing.len() as u64))
            .done(),
    ]
}

pub(super) fn lossy(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let accounting = &view.now.accounting;
    if accounting.reconciled {
        return Vec::new();
    }
    let sum = |of: fn(&crate::model::Hook) -> u64| accounting.hooks.values().map(of).sum::<u64>();
    let (full, missed) = (sum(|h| h.ring_full + h.map_full), sum(|h| h.missed.unwrap_or(0) + h.unpaired));
    // A return without its call counts as both.
    let unreadable = sum(|h| h.faulted.saturating_sub(h.unpaired));
    let summary = format!(
        "{} not accounted for: rates and times may be wrong, and so may sums",
        count(full + missed + unreadable, "event is", "events are")
    );
    vec![
        Draft::new(
            rule,
            Severity::Warning,
            summary,
            "see which hooks in the accounting; a slow reader of events loses only events, never sums",
        )
        .with("no_room", Some(full))
        .with("missed", Some(missed))
        .with("unreadable", Some(unreadable))
        .with("seen", Some(sum(|h| h.seen)))
        .done(),
    ]
}
