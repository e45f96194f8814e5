//! The rows of each view: which, in what order, and what identifies them.

use std::cmp::Ordering;

use super::{action::View, app::App, derive, picture::Row, words};
use crate::model::{Finding, LifecycleEvent, Listener, Probe, ProbeState, Severity, Snapshot};

/// The connections that pass the filter, in order.
pub(super) fn connections(app: &App) -> Vec<Row<'_>> {
    let query = app.filter.query.as_ref();
    let wanted = |row: &Row<'_>| {
        (app.show_gone || row.gone_for_ns.is_none()) && query.is_none_or(|query| query.matches(row))
    };
    let mut rows: Vec<_> = app.picture().rows().filter(wanted).collect();
    order(app, &mut rows);
    rows
}

/// Sorts; rows alike stay in the order of their ids, so that nothing moves without a reason.
fn order(app: &App, rows: &mut [Row<'_>]) {
    if let Some(held) = &app.held {
        let place = |row: &Row<'_>| held.get(&row.connection.id).copied().unwrap_or(usize::MAX);
        rows.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| age_order(a, b)));
        return;
    }
    // Those that are gone come last, the latest of them first.
    let last = |a: &Row<'_>, b: &Row<'_>| a.gone_for_ns.cmp(&b.gone_for_ns);
    let descending = app.sort.descending;
    let Some(which) = app.sort.by else {
        let rate = |row: &Row<'_>| row.rates.tx.unwrap_or(0.0) + row.rates.rx.unwrap_or(0.0);
        rows.sort_by(|a, b| {
            let order = rate(a).total_cmp(&rate(b));
            let order = if descending { order.reverse() } else { order };
            last(a, b).then(order).then_with(|| age_order(a, b))
        });
        return;
    };
    let mut ranked: Vec<_> = rows.iter().map(|row| (which.rank(row), *row)).collect();
    ranked.sort_by(|(a, x), (b, y)| {
        last(x, y).then_with(|| a.order(b, descending)).then_with(|| age_order(x, y))
    });
    for (place, (_, row)) in rows.iter_mut().zip(ranked) {
        *place = row;
    }
}

fn age_order(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let (a, b) = (a.connection, b.connection);
    a.relid.cmp(&b.relid).then_with(|| a.id.cmp(&b.id))
}

/// The listeners that pass the filter: those that lose connections first, then by port.
pub(super) fn listeners(app: &App) -> Vec<&Listener> {
    let query = app.filter.query.as_ref();
    let mut rows: Vec<_> = app
        .picture()
        .snapshot
        .iter()
        .flat_map(|s| &s.listeners)
        .filter(|listener| query.is_none_or(|query| query.matches(*listener)))
        .collect();
    rows.sort_by_key(|l| (l.backlog.is_none(), l.port));
    rows
}

/// The events that pass the filter, the newest first.
pub(super) fn events(app: &App) -> Vec<(u64, &LifecycleEvent)> {
    let query = app.filter.query.as_ref();
    let events = app.picture().events.iter().rev().map(|(number, event)| (*number, event.as_ref()));
    events.filter(|(_, event)| query.is_none_or(|query| query.matches(*event))).collect()
}

/// What is wrong, the worst first; `None`: nobody looked.
pub(super) fn findings(snapshot: &Snapshot) -> Option<Vec<&Finding>> {
    let mut findings: Vec<_> = snapshot.findings.as_ref()?.iter().collect();
    findings.sort_by_key(|f| std::cmp::Reverse(f.severity));
    Some(findings)
}

/// How many findings there are of each severity: critical, warning, info. `None`: nobody looked.
pub(super) fn severities(snapshot: &Snapshot) -> Option<[usize; 3]> {
    let findings = snapshot.findings.as_ref()?;
    let count = |severity| findings.iter().filter(|f| f.severity == severity).count();
    Some([Severity::Critical, Severity::Warning, Severity::Info].map(count))
}

/// What identifies a finding.
pub(super) fn finding_key(finding: &Finding) -> String {
    let port = finding.port.map(|port| port.to_string()).unwrap_or_default();
    format!("{}:{port}", finding.rule)
}

/// The names of all latencies, in the order in which they are shown.
pub(super) fn latencies(snapshot: &Snapshot) -> Vec<&str> {
    let known = words::LATENCIES.iter().copied().filter(|name| snapshot.latency.contains_key(*name));
    let others = snapshot.latency.keys().map(String::as_str).filter(|name| !words::LATENCIES.contains(name));
    known.chain(others).collect()
}

/// The probes: first those that do not work.
pub(super) fn probes(snapshot: &Snapshot) -> Vec<&Probe> {
    let mut probes: Vec<_> = snapshot.probes.iter().collect();
    probes.sort_by_key(|probe| probe.state == ProbeState::Active);
    probes
}

/// What identifies the rows of a view, in their order. A view without a table has none.
pub(super) fn keys(app: &App, view: View) -> Vec<String> {
    let snapshot = app.picture().snapshot.as_deref();
    match view {
        View::Connections => connections(app).iter().map(|row| row.connection.id.clone()).collect(),
        View::Listeners => listeners(app).iter().map(|l| l.port.to_string()).collect(),
        View::Events => events(app).iter().map(|(number, _)| number.to_string()).collect(),
        View::Findings => {
            let findings = snapshot.and_then(findings).unwrap_or_default();
            findings.into_iter().map(finding_key).collect()
        }
        View::Latency => snapshot.iter().flat_map(|s| latencies(s)).map(str::to_owned).collect(),
        View::Probes => snapshot.iter().flat_map(|s| probes(s)).map(|p| p.event.clone()).collect(),
        View::Overview | View::Detail | View::Lookup => Vec::new(),
    }
}

/// The busiest connections.
pub(super) fn top(app: &App, n: usize) -> Vec<Row<'_>> {
    let rate = |row: &Row<'_>| row.rates.tx.unwrap_or(0.0) + row.rates.rx.unwrap_or(0.0);
    let mut rows: Vec<_> = app.picture().rows().filter(|row| row.gone_for_ns.is_none()).collect();
    // Who waits for room comes before who is busy: that is what goes wrong.
    let stalled = |row: &Row<'_>| row.connection.tx.stalled_for_ns.unwrap_or(0);
    let out = |row: &Row<'_>| derive::out_share(row.connection).unwrap_or(0.0);
    rows.sort_by(|a, b| {
        stalled(b)
            .cmp(&stalled(a))
            .then_with(|| rate(b).total_cmp(&rate(a)))
            .then_with(|| out(b).total_cmp(&out(a)))
            .then_with(|| age_order(a, b))
    });
    rows.truncate(n);
    rows
}
