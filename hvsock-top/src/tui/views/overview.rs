//! What is going on and what is wrong, at a glance.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{above, below, beside, events, header, latency, waiting};
use crate::{
    model::{Port, Severity, Snapshot},
    tui::{
        app::App,
        columns, derive, format,
        history::Series,
        picture::Picture,
        rows,
        theme::Role,
        widgets::{
            bars,
            boxed::section,
            grid::{Cell, Column, Grid},
            line::{Line, wrap},
        },
        words,
    },
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = app.picture().snapshot.clone() else { return waiting(app, area, buffer) };
    if area.width < 118 {
        let rest = findings(app, &snapshot, area, buffer, 3, 1);
        let rest = trends(app, rest, buffer);
        let rest = opens(app, &snapshot, rest, buffer);
        talkers(app, rest, buffer);
        return;
    }
    let (left, right) = beside(area, area.width * 9 / 20);
    let rest = trends(app, left, buffer);
    let rest = opens(app, &snapshot, rest, buffer);
    let rest = closes(app, &snapshot, rest, buffer);
    let rest = services(app, &snapshot, rest, buffer);
    if rest.height > 4 {
        latency::brief(app, &snapshot, rest, buffer);
    }
    let most = usize::from(area.height / 6).max(3);
    let rest = findings(app, &snapshot, right, buffer, most, 2);
    // What happens stands below who is there, where there is room for both.
    let (rest, lower) = if rest.height > 18 {
        let alive = u16::try_from(snapshot.connections.len()).unwrap_or(u16::MAX);
        let upper = alive.saturating_add(2).min(rest.height * 3 / 5).max(3);
        (above(rest, upper), below(rest, upper))
    } else {
        (rest, below(rest, rest.height))
    };
    talkers(app, rest, buffer);
    if lower.height > 4 {
        events::latest(app, lower, buffer);
    }
}

/// What is wrong, the worst first, each in no more than `lines` lines.
fn findings(
    app: &App,
    snapshot: &Snapshot,
    area: Rect,
    buffer: &mut Buffer,
    most: usize,
    lines: u16,
) -> Rect {
    let theme = app.theme;
    let findings = rows::findings(snapshot);
    let all = findings.as_ref().map_or(0, Vec::len);
    let note = if all > most { format!("{all} in all") } else { String::new() };
    let mut rest = section(buffer, area, theme, "Findings", &note);
    let plain = match &findings {
        None => Some(("nobody looked for what is wrong", Role::Dim)),
        Some(list) if list.is_empty() => Some(("nothing is wrong", Role::Good)),
        Some(_) => None,
    };
    if let (Some((text, role)), Some(mut line)) = (plain, Line::of(buffer, rest, 0)) {
        line.put(text, theme.style(role));
        return below(rest, 1);
    }
    for finding in findings.into_iter().flatten().take(most) {
        let (sign, role) = match finding.severity {
            Severity::Critical => ("✘ ", Role::Bad),
            Severity::Warning => ("⚠ ", Role::Warn),
            Severity::Info => ("· ", Role::Dim),
        };
        let text = wrap(&finding.summary, rest.width.saturating_sub(2));
        let shown = if text.len() > usize::from(lines) {
            let (last, first) = (usize::from(lines) - 1, &text[..usize::from(lines) - 1]);
            let mut shown = first.to_vec();
            // What is left over is cut with an ellipsis.
            shown.push(text[last..].join(" "));
            shown
        } else {
            text
        };
        for (row, text) in (0..).zip(&shown) {
            let Some(mut line) = Line::of(buffer, rest, row) else { break };
            line.put(if row == 0 { sign } else { "  " }, theme.style(role)).put(text, theme.style(role));
        }
        rest = below(rest, shown.len() as u16);
    }
    rest
}

/// A curve: its name, what it shows, how it looks, how its values are written.
type Trend<'a> = (&'static str, &'a Series, Role, fn(f64) -> String);

fn trends(app: &App, area: Rect, buffer: &mut Buffer) -> Rect {
    let picture = app.picture();
    let history = &picture.history;
    let ns = |ns: f64| format::duration(ns as u64);
    let all: [Trend<'_>; 8] = [
        ("sent", &history.tx, Role::Tx, format::byte_rate),
        ("received", &history.rx, Role::Rx, format::byte_rate),
        ("opened", &history.opened, Role::Good, format::rate),
        ("failed", &history.failed, Role::Bad, format::rate),
        ("fullest ring", &history.fullest, Role::Warn, format::percent),
        ("connect p99", &history.connect_p99, Role::Accent, ns),
        ("accept p99", &history.accept_p99, Role::Accent, ns),
        ("connections", &history.live, Role::Text, |n| format::count(n as u64)),
    ];
    let room = if area.height > 25 { 8 } else { 6 };
    let inside = section(buffer, area, app.theme, "Trends", &span(picture, area.width));
    for (trend, row) in all.iter().take(room).zip(0..) {
        if let Some(line) = Line::of(buffer, inside, row) {
            curve(app, line, trend);
        }
    }
    below(inside, room as u16)
}

/// How far back the curves go.
fn span(picture: &Picture, width: u16) -> String {
    let shown = picture.history.tx.len().min(usize::from(curve_width(width).0));
    format!("last {shown} Snapshots")
}

/// How wide a curve is in `width` columns, and whether there is room for its peak.
fn curve_width(width: u16) -> (u16, bool) {
    let has_peak = width >= 70;
    (width.saturating_sub(if has_peak { 42 } else { 25 }), has_peak)
}

fn curve(app: &App, mut line: Line<'_>, trend: &Trend<'_>) {
    let (name, series, role, show) = trend;
    let dim = app.theme.style(Role::Dim);
    let (wide, has_peak) = curve_width(line.left());
    let peak = series.peak(wide.into());
    line.put(format!("{name:<13}"), dim);
    let value = format::or_dash(series.newest(), show);
    let style = app.theme.style(if series.newest().unwrap_or(0.0) > 0.0 { *role } else { Role::Dim });
    line.put(format!("{value:>11} "), style);
    let scale = if *name == "fullest ring" { 1.0 } else { peak.unwrap_or(0.0) };
    let values: Vec<_> = series.last(wide.into()).collect();
    line.put(bars::curve(values.into_iter(), wide, scale), app.theme.style(*role));
    if has_peak {
        line.put(format!(" peak {:>11}", format::or_dash(peak, show)), dim);
    }
}

/// Opens by outcome: what succeeded, and what failed and why.
fn opens(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let inside = section(buffer, area, theme, "Opens since the probes were attached", "");
    let from = derive::from_host(&snapshot.opens.from_host);
    let to = derive::to_host(&snapshot.opens.to_host);
    for ((title, outcomes), row) in [("from host", &from[..]), ("to host", &to[..])].into_iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        line.put(format!("{title:<10}"), theme.style(Role::Dim));
        let mut unknown = 0;
        for (name, count) in outcomes {
            match count {
                None => unknown += 1,
                // Outcomes that have not happened say nothing, but for the one that is hoped for.
                Some(0) if *name != "ok" => {}
                Some(n) => {
                    let role = if *name == "ok" { Role::Good } else { Role::Bad };
                    let count = format::count(*n);
                    let fits = line.whole(&[
                        (&count, theme.style(role)),
                        (" ", theme.style(Role::Dim)),
                        (name, theme.style(Role::Text)),
                        ("   ", theme.style(Role::Dim)),
                    ]);
                    if !fits {
                        line.put("…", theme.style(Role::Bad));
                    }
                }
            }
        }
        if unknown > 0 {
            line.put(format!("{unknown} outcomes not observed"), theme.style(Role::Dim));
        }
    }
    below(inside, 2)
}

/// How connections ended, and what the rings take.
fn closes(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    let inside = section(buffer, area, theme, "Ends, memory, waiting", "");
    let count = |n: Option<u64>| format::or_dash(n, format::count);
    let (closes, totals) = (&snapshot.closes, &snapshot.totals);
    let lines: [&[(&str, String)]; 4] = [
        &[
            ("closed ", count(totals.closed_connections).into_owned()),
            ("  graceful ", count(closes.graceful).into_owned()),
            ("  by host ", count(closes.by_host).into_owned()),
            ("  timed out ", count(closes.timed_out).into_owned()),
            ("  other ", count(closes.other).into_owned()),
        ],
        &[
            ("rings take ", header::at_least(derive::ring_memory(snapshot), format::bytes)),
            ("  channels ", format!("{} of {}", count(totals.relids_used), totals.relids_max)),
            ("  teardowns failed ", count(totals.teardown_failures).into_owned()),
        ],
        &[
            ("stalls ", count(totals.traffic.stalls).into_owned()),
            ("  for ", format::or_dash(derive::stall_ns(snapshot), format::duration).into_owned()),
            ("  EAGAIN ", count(totals.traffic.eagain).into_owned()),
            ("  short writes ", count(totals.traffic.short_writes).into_owned()),
        ],
        &[
            ("offers waiting ", count(totals.offers_waiting).into_owned()),
            ("  the oldest for ", format::or_dash(totals.oldest_offer_ns, format::duration).into_owned()),
            ("  refused by host ", count(totals.host_refusals).into_owned()),
        ],
    ];
    for (pieces, row) in lines.iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        for (label, value) in *pieces {
            line.whole(&[(label, dim), (value, text)]);
        }
    }
    below(inside, lines.len() as u16)
}

const SERVICES: [Column; 8] = [
    Column { least: 7, ..Column::port("SERVICE", 0) },
    Column::text("HOST", 4, 4, 0),
    Column::number("LIVE", 5, 0),
    Column::number("CLOSED", 6, 2),
    Column::number("FAILED", 6, 0),
    Column::number("STALLS", 6, 1),
    Column::number("TX TOTAL", 8, 0),
    Column::number("RX TOTAL", 8, 0),
];

/// What happened at each port, those with failures first.
fn services(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) -> Rect {
    if area.height < 4 {
        return area;
    }
    let failed = |port: &Port| {
        let bad = |map: &std::collections::BTreeMap<String, u64>| {
            map.iter().filter(|(name, _)| *name != "ok").fold(0_u64, |sum, (_, n)| sum.saturating_add(*n))
        };
        bad(&port.offers).saturating_add(bad(&port.connects))
    };
    let mut ports: Vec<_> = snapshot.ports.iter().collect();
    ports.sort_by_key(|port| (std::cmp::Reverse(failed(port)), port.port));
    let inside = section(buffer, area, app.theme, "Services", "since the probes were attached");
    let grid = Grid {
        columns: &SERVICES,
        sorted: None,
        rows: ports.len(),
        selected: None,
        first: 0,
        empty: "nobody has connected anywhere",
    };
    grid.draw(
        buffer,
        inside,
        app.theme,
        |_| false,
        |row, column| {
            let port = ports[row];
            match column {
                0 => Cell::new(port.port.to_string()),
                1 => Cell::new(words::short_direction(port.direction)),
                2 => Cell::new(format::count(port.live)),
                3 => Cell::new(format::count(port.closed)),
                4 => Cell::alarm(Some(failed(port)), Role::Bad),
                5 => Cell::alarm(port.traffic.stalls, Role::Warn),
                6 => Cell::known(port.traffic.tx_bytes, format::bytes),
                _ => Cell::known(port.traffic.rx_bytes, format::bytes),
            }
        },
    );
    below(inside, u16::try_from(ports.len().max(1)).unwrap_or(u16::MAX).saturating_add(1))
}

/// So many columns of the table of connections are for the busiest: the first are those that say most.
const TALKERS: usize = 13;

fn talkers(app: &App, area: Rect, buffer: &mut Buffer) {
    if area.height < 3 {
        return;
    }
    let inside = section(buffer, area, app.theme, "Stalled and busiest connections", "");
    let rows = rows::top(app, usize::from(inside.height).saturating_sub(1));
    let grid = Grid {
        columns: &columns::COLUMNS[..TALKERS],
        sorted: None,
        rows: rows.len(),
        selected: None,
        first: 0,
        empty: "no connections",
    };
    grid.draw(
        buffer,
        above(inside, area.height),
        app.theme,
        |_| false,
        |row, column| columns::ALL[column].cell(&rows[row]),
    );
}
