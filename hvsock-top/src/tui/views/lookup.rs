//! Finding a socket: what it costs here and now, what is searched, and what is linear still.

use std::collections::BTreeMap;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{above, below, beside, paragraph, waiting};
use crate::{
    model::{Family, Lookup, LookupTable, Searched, Searches, Snapshot},
    tui::{
        app::App,
        derive, format,
        theme::Role,
        widgets::{bars, boxed::section, line::Line},
    },
};

/// The phases of an open, which together are all of its time.
const PHASES: [&str; 5] = ["offer_to_probe", "lookup", "ring_alloc", "host_open", "other_open"];

/// From so many columns on there are two parts beside each other.
const WIDE: u16 = 110;

/// Columns and lines of the tables' figures.
const TABLE: (u16, u16) = (42, 8);

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = app.picture().snapshot.clone() else { return waiting(app, area, buffer) };
    let linear = linear(&snapshot);
    if area.width < WIDE {
        let rest = facts(app, &snapshot, area, buffer, 2);
        let (left, right) = beside(above(rest, TABLE.1), TABLE.0);
        tables(app, &snapshot, left, buffer);
        chains(app, &snapshot, right, buffer);
        still_linear(app, &linear, below(rest, TABLE.1), buffer);
        return;
    }
    let (left, right) = beside(area, area.width * 9 / 20);
    let rest = facts(app, &snapshot, left, buffer, 1);
    still_linear(app, &linear, below(rest, 1), buffer);
    let rest = tables(app, &snapshot, right, buffer);
    chains(app, &snapshot, rest, buffer);
}

/// What lookups took, in one or two columns.
fn facts(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer, columns: u16) -> Rect {
    let theme = app.theme;
    let function = match snapshot.host.family {
        Family::Vsock => "in vsock_find_bound_socket",
        Family::AfHyperv => "in hvsock_find_bound_socket",
    };
    let inside = section(buffer, area, theme, "Lookups of bound sockets", function);
    let histogram = derive::histogram(snapshot, "lookup");
    let lookup = snapshot.lookup.as_ref();
    let count = |n: Option<u64>| format::or_dash(n, format::count).into_owned();
    let time = |ns: Option<u64>| format::or_dash(ns, format::duration).into_owned();
    let share = |name| format::or_dash(share(snapshot, name), format::percent).into_owned();
    let recent = app.picture().recent("lookup");
    let listening = snapshot.listeners.iter().filter(|l| l.backlog.is_some()).count() as u64;
    let facts: [(&str, String); 12] = [
        ("lookups", count(lookup.and_then(|l| l.bound_lookups))),
        ("in successful opens", count(histogram.map(|h| h.count))),
        ("median", time(histogram.and_then(|h| h.p50_ns))),
        ("median of late", time(recent.as_ref().and_then(|(h, _)| h.p50_ns))),
        ("99th percentile", time(histogram.and_then(|h| h.p99_ns))),
        ("longest", time(histogram.and_then(|h| h.max_ns))),
        ("share of opens' time", share("lookup")),
        ("before the probe", share("offer_to_probe")),
        ("waiting for the host", share("host_open")),
        ("live connections", count(snapshot.totals.live_connections)),
        ("listeners", count(Some(listening))),
        ("channels in use", count(snapshot.totals.relids_used)),
    ];
    let rows = (facts.len() as u16).div_ceil(columns);
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    for ((name, value), n) in facts.iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, n % rows) else { continue };
        let (x, _) = line.at();
        line.to(x + n / rows * 40).put(format!("{name:<22}"), dim).put(format!("{value:>10}"), text);
    }
    below(inside, rows)
}

/// The part that a phase has in all phases of the opens; `None` unless all are known and something was opened.
fn share(snapshot: &Snapshot, name: &str) -> Option<f64> {
    let sum = |name| Some(derive::histogram(snapshot, name)?.sum_ns);
    let whole = PHASES.iter().try_fold(0_u64, |all, name| Some(all.saturating_add(sum(name)?)))?;
    (whole > 0).then_some(sum(name)? as f64 / whole as f64)
}

/// What is searched: the figures of both tables.
fn tables(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let lookup = snapshot.lookup.clone().unwrap_or_default();
    let note = match lookup.age_ns {
        Some(ns) => format!("read {} ago", format::age(ns)),
        None if snapshot.lookup.is_none() => "not recorded".to_owned(),
        None => "not read".to_owned(),
    };
    let inside = section(buffer, area, theme, "Tables", &note);
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    if let Some(why) = &lookup.unread {
        let used = paragraph(buffer, inside, theme, Role::Warn, why);
        return below(inside, used);
    }
    let count = |n: Option<u64>| format::or_dash(n, format::count).into_owned();
    let real = |n: Option<f64>| format::or_dash(n, mean).into_owned();
    let used = |t: &LookupTable| match (t.used_buckets, t.buckets) {
        (Some(used), Some(all)) => format!("{used} of {all}"),
        _ => format::UNKNOWN.to_owned(),
    };
    let counted = |s: &Searched| {
        let each = |nodes| (s.lookups > 0).then(|| nodes as f64 / s.lookups as f64);
        real(s.nodes.and_then(each))
    };
    let Lookup { bound, connected, unbound, searches, .. } = &lookup;
    let rows = [
        ("", "bound".to_owned(), "connected".to_owned()),
        ("sockets", count(bound.sockets), count(connected.sockets)),
        ("buckets used", used(bound), used(connected)),
        ("longest chain", count(bound.longest_chain), count(connected.longest_chain)),
        ("mean chain", real(bound.mean_chain), real(connected.mean_chain)),
        ("looked at per hit", real(bound.nodes_per_hit), real(connected.nodes_per_hit)),
        match searches {
            Some(Searches { bound, connected }) => ("counted per lookup", counted(bound), counted(connected)),
            None => ("not bound", count(*unbound), String::new()),
        },
    ];
    for ((name, bound, connected), row) in rows.iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        let style = if row == 0 { dim } else { text };
        line.put(format!("{name:<18}"), dim).put(format!("{bound:>12}"), style);
        line.put(format!("{connected:>12}"), style);
    }
    below(inside, rows.len() as u16)
}

/// A mean of lengths.
fn mean(n: f64) -> String {
    if n < 999.5 { format!("{n:.1}") } else { format::count(n.round() as u64) }
}

/// How many buckets have so many sockets, of both tables beside each other; each line stands for a range of lengths.
fn chains(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let Some(lookup) = &snapshot.lookup else { return };
    let (Some(bound), Some(connected)) = (&lookup.bound.chains, &lookup.connected.chains) else { return };
    if area.height < 3 {
        return;
    }
    let inside = section(buffer, area, theme, "Chains", "buckets by sockets in them");
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    let longest = bound.iter().chain(connected).map(|(length, _)| *length).max().unwrap_or(0);
    if longest == 0 {
        if let Some(mut line) = Line::of(buffer, inside, 0) {
            line.put("all buckets are empty", dim);
        }
        return;
    }
    let step = step(longest, inside.height.saturating_sub(1));
    let (bound, connected) = (ranges(bound, step), ranges(connected, step));
    let most = bound.values().chain(connected.values()).copied().max().unwrap_or(1).max(1) as f64;
    // The range, and twice a bar and a number.
    let bar = (inside.width.saturating_sub(10) / 2).saturating_sub(6).min(40);
    if let Some(mut line) = Line::of(buffer, inside, 0) {
        let both = usize::from(bar) + 6;
        line.put(format!("{:<10}{:<both$}{:<both$}", "sockets", "bound", "connected"), dim);
    }
    for (range, row) in (0..=range_of(longest, step)).zip(1..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        line.put(format!("{:<10}", range_name(range, step)), dim);
        for (buckets, role) in [(&bound, Role::Accent), (&connected, Role::Tx)] {
            let n = buckets.get(&range).copied().unwrap_or(0);
            let number = if n == 0 { String::new() } else { format::count(n) };
            line.put(bars::bar(n as f64 / most, bar), theme.style(role));
            line.put(format!(" {number:<5}"), text);
        }
    }
}

/// By how many powers of two a range of lengths is wider than the one before, so that all fit into `rows`.
fn step(longest: u64, rows: u16) -> u32 {
    (1..64).find(|step| range_of(longest, *step) < u32::from(rows.max(1))).unwrap_or(64)
}

/// The range in which a chain of this length is: 1 alone, then up to 2^step, up to 2^(2 step), and so on.
fn range_of(length: u64, step: u32) -> u32 {
    length.saturating_sub(1).checked_ilog2().map_or(0, |log| log / step + 1)
}

fn range_name(range: u32, step: u32) -> String {
    let end = |range: u32| 1_u64.checked_shl(range * step).unwrap_or(u64::MAX);
    match range {
        0 => "1".to_owned(),
        _ if end(range - 1) + 1 == end(range) => end(range).to_string(),
        _ => format!("{}–{}", end(range - 1) + 1, end(range)),
    }
}

fn ranges(chains: &[(u64, u64)], step: u32) -> BTreeMap<u32, u64> {
    let mut ranges = BTreeMap::new();
    for (length, buckets) in chains {
        *ranges.entry(range_of(*length, step)).or_insert(0) += buckets;
    }
    ranges
}

/// What costs more the more there is.
fn linear(snapshot: &Snapshot) -> String {
    let channels = format::or_dash(snapshot.totals.relids_used, format::count);
    let before = format::or_dash(share(snapshot, "offer_to_probe"), format::percent);
    let lookup = match snapshot.host.family {
        Family::Vsock => "A bucket is a list.",
        Family::AfHyperv => "A bucket is a list, and lookup=list has a single one.",
    };
    format!(
        "{lookup} The VMBus compares each offer with every channel ({channels} in use), and one worker opens them all: \
         both are before the probe, {before} of the opens' time."
    )
}

fn still_linear(app: &App, text: &str, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    let inside = section(buffer, area, app.theme, "Linear still", "");
    paragraph(buffer, inside, app.theme, Role::Dim, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Histogram;

    #[test]
    fn each_length_is_in_the_range_of_its_name() {
        for (length, step, name) in [
            (1, 1, "1"),
            (2, 1, "2"),
            (3, 1, "3–4"),
            (4, 1, "3–4"),
            (5, 1, "5–8"),
            (600, 1, "513–1024"),
            (2, 2, "2–4"),
            (4, 2, "2–4"),
            (5, 2, "5–16"),
            (600, 2, "257–1024"),
        ] {
            assert_eq!(range_name(range_of(length, step), step), name, "{length}");
        }
    }

    #[test]
    fn ranges_are_as_wide_as_the_room_wants() {
        assert_eq!(step(600, 20), 1);
        assert_eq!(step(600, 11), 1);
        assert_eq!(step(600, 10), 2);
        assert_eq!(step(600, 3), 5);
        assert_eq!(range_of(600, step(600, 3)), 2);
        for rows in 1..20 {
            let step = step(u64::MAX, rows);
            assert!(rows == 1 || range_of(u64::MAX, step) < u32::from(rows), "{rows}");
        }
        assert_eq!(ranges(&[(1, 3), (3, 2), (4, 5)], 1), BTreeMap::from([(0, 3), (2, 7)]));
    }

    #[test]
    fn a_share_takes_all_phases() {
        let mut snapshot = Snapshot::blank(9);
        assert_eq!(share(&snapshot, "lookup"), None);
        for name in PHASES {
            let histogram = Histogram { count: 1, sum_ns: 100, ..Histogram::default() };
            snapshot.latency.insert(name.to_owned(), Some(histogram));
        }
        assert_eq!(share(&snapshot, "lookup"), Some(0.2));
        snapshot.latency.insert("ring_alloc".to_owned(), None);
        assert_eq!(share(&snapshot, "lookup"), None);
    }
}
