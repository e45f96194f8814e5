//! Finding the bound socket: what it costs here and now.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{below, paragraph, waiting};
use crate::tui::{
    app::App,
    derive, format,
    theme::Role,
    widgets::{boxed::section, line::Line},
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let Some(snapshot) = app.picture().snapshot.clone() else { return waiting(app, area, buffer) };
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    let inside =
        section(buffer, area, theme, "Lookup of bound sockets", "measured inside vsock_find_bound_socket");
    let used = paragraph(
        buffer,
        inside,
        theme,
        Role::Dim,
        "For every connection that the host opens, the kernel looks for the socket bound to the port. What that takes, and how many sockets \
         and connections there were meanwhile:",
    );
    let rest = below(inside, used + 1);
    let histogram = derive::histogram(&snapshot, "lookup");
    let count = |n: Option<u64>| format::or_dash(n, format::count).into_owned();
    let time = |ns: Option<u64>| format::or_dash(ns, format::duration).into_owned();
    let recent = app.picture().recent("lookup");
    let listening = snapshot.listeners.iter().filter(|l| l.backlog.is_some()).count() as u64;
    let share = histogram.and_then(|lookup| {
        let parts = ["offer_to_probe", "lookup", "ring_alloc", "host_open", "other_open"];
        let whole = parts.iter().try_fold(0_u64, |sum, name| {
            Some(sum.saturating_add(derive::histogram(&snapshot, name)?.sum_ns))
        })?;
        (whole > 0).then(|| lookup.sum_ns as f64 / whole as f64)
    });
    let facts: [(&str, String); 10] = [
        ("lookups", count(histogram.map(|h| h.count))),
        ("median", time(histogram.and_then(|h| h.p50_ns))),
        ("99th percentile", time(histogram.and_then(|h| h.p99_ns))),
        ("99.9th percentile", time(histogram.and_then(|h| h.p999_ns))),
        ("longest", time(histogram.and_then(|h| h.max_ns))),
        ("median of late", time(recent.as_ref().and_then(|(h, _)| h.p50_ns))),
        ("share of opens' time", format::or_dash(share, format::percent).into_owned()),
        ("live connections", count(snapshot.totals.live_connections)),
        ("listeners", count(Some(listening))),
        ("channels in use", count(snapshot.totals.relids_used)),
    ];
    for ((name, value), row) in facts.iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, rest, row) else { break };
        line.put(format!("{name:<22}"), dim).put(format!("{value:>10}"), text);
    }
    let rest = below(rest, facts.len() as u16 + 1);
    paragraph(
        buffer,
        rest,
        theme,
        Role::Dim,
        "The time of a single connection's lookup is among the phases in its detail (3).",
    );
}
