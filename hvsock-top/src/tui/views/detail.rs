//! One connection: how it came about, what its rings did, what happened to it.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{below, beside};
use crate::{
    model::Connection,
    tui::{
        app::App,
        columns, derive, format,
        history::ConnectionHistory,
        picture::Row,
        theme::Role,
        widgets::{bars, boxed::section, line::Line},
        words,
    },
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let picture = app.picture();
    let Some(row) = app.connection().and_then(|id| picture.row(id)) else {
        if let Some(mut line) = Line::of(buffer, area, 0) {
            let text = match app.connection() {
                Some(id) => format!("connection {id} is gone; up and down choose another"),
                None => "no connection to look at".to_owned(),
            };
            line.put(text, app.theme.style(Role::Dim));
        }
        return;
    };
    let rest = facts(app, &row, area, buffer);
    if area.width < 118 {
        let rest = phases(app, row.connection, rest, buffer);
        let rest = curves(app, row.connection, rest, buffer);
        let rest = counts(app, row.connection, rest, buffer);
        events(app, row.connection, rest, buffer);
        return;
    }
    let (left, right) = beside(rest, rest.width / 2);
    let rest = phases(app, row.connection, left, buffer);
    let rest = counts(app, row.connection, rest, buffer);
    events(app, row.connection, rest, buffer);
    let rest = curves(app, row.connection, right, buffer);
    occupancy(app, row.connection, rest, buffer);
}

fn facts(app: &App, row: &Row<'_>, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    let c = row.connection;
    let port = |port: Option<u32>| format::or_dash(port, |p| p.to_string()).into_owned();
    if let Some(mut line) = Line::of(buffer, area, 0) {
        let state = columns::Which::State.cell(row);
        line.put(words::process(c.comm.as_deref(), c.pid), theme.style(Role::Title));
        let direction = c.direction.map_or(format::UNKNOWN, words::direction);
        line.put(format!("  {direction}"), text);
        line.put("  guest port ", dim).put(port(c.local_port), text);
        line.put("  host port ", dim).put(port(c.remote_port), text);
        line.put("  ", dim).put(&state.text, theme.style(state.role));
        if let Some(ns) = c.ending_for_ns {
            line.put(format!(" for {}", format::age(ns)), theme.style(Role::Warn));
        }
    }
    if let Some(mut line) = Line::of(buffer, area, 1) {
        line.put("id ", dim).put(&c.id, text).put("  channel ", dim).put(c.relid.to_string(), text);
        line.put("  fd ", dim).put(port(c.fd), text);
        line.put("  open for ", dim).put(format::or_dash(c.age_ns, format::age), text);
        let seen = if c.known_since_start { "whole life observed" } else { "older than the probes" };
        line.put("  ", dim).put(seen, dim);
        line.put("  ", dim).put(&c.service_guid, dim);
    }
    below(area, 2)
}

/// The phases of its open one after the other, each as long as it took.
fn phases(app: &App, c: &Connection, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let total = derive::open_ns(c);
    let note = format::or_dash(total, |ns| format!("{} in all", format::duration(ns)));
    let inside = section(buffer, area, theme, "How it was opened", &note);
    let parts = derive::open_phases(c);
    let sum = parts.iter().filter_map(|(_, ns)| *ns).fold(0_u64, u64::saturating_add);
    let scale = c.latency.connect_ns.unwrap_or(0).max(sum).max(1) as f64;
    let mut row = 0;
    let mut begun = 0_u64;
    let whole = c.latency.connect_ns.map(|ns| ("connect", Some(ns)));
    for (name, ns) in whole.into_iter().chain(parts) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        line.put(format!("{name:<16}"), theme.style(Role::Dim));
        let value = format::or_dash(ns, format::duration);
        line.put(format!("{value:>9} "), theme.style(if ns.is_some() { Role::Text } else { Role::Dim }));
        if let Some(ns) = ns {
            let wide = f64::from(line.left());
            let first = if row == 0 && whole.is_some() { 0 } else { begun };
            let from = (first as f64 / scale * wide) as u16;
            let long = ((ns as f64 / scale * wide).round() as u16).max(1);
            let role = if row == 0 && whole.is_some() { Role::Line } else { Role::Accent };
            line.gap(from.min(line.left().saturating_sub(1)));
            line.put("█".repeat(usize::from(long.min(line.left()))), theme.style(role));
            if !(row == 0 && whole.is_some()) {
                begun = begun.saturating_add(ns);
            }
        }
        row += 1;
    }
    if let Some(mut line) = Line::of(buffer, inside, row) {
        let dim = theme.style(Role::Dim);
        let time = |ns: Option<u64>| format::or_dash(ns, format::duration);
        line.put("then accept ", dim).put(time(c.latency.accept_wait_ns), theme.style(Role::Text));
        line.put("  first byte ", dim).put(time(c.latency.first_byte_ns), theme.style(Role::Text));
        line.put("  close ", dim).put(time(c.latency.close_ns), theme.style(Role::Text));
    }
    below(inside, row + 1)
}

fn curves(app: &App, c: &Connection, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let inside = section(buffer, area, theme, "Rings and traffic over time", "");
    let nothing = ConnectionHistory::default();
    let history = app.picture().history.connections.get(&c.id).unwrap_or(&nothing);
    let all = [
        ("ring to host", &history.out, Role::Warn, true),
        ("ring from host", &history.inward, Role::Warn, true),
        ("sent", &history.tx, Role::Tx, false),
        ("received", &history.rx, Role::Rx, false),
    ];
    // Where there is no room for all, the rates are left to the table.
    let shown = if inside.height < 10 { 2 } else { 4 };
    for ((name, series, role, share), row) in all.into_iter().take(shown.into()).zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        let show: fn(f64) -> String = if share { format::percent } else { format::byte_rate };
        line.put(format!("{name:<15}"), theme.style(Role::Dim));
        let value = format::or_dash(series.newest(), show);
        line.put(
            format!("{value:>10} "),
            theme.style(if share { columns::gauge(series.newest()).role } else { role }),
        );
        let wide = line.left();
        let scale = if share { 1.0 } else { series.peak(wide.into()).unwrap_or(0.0) };
        let values: Vec<_> = series.last(wide.into()).collect();
        line.put(bars::curve(values.into_iter(), wide, scale), theme.style(role));
    }
    below(inside, shown)
}

fn counts(app: &App, c: &Connection, area: Rect, buffer: &mut Buffer) -> Rect {
    let theme = app.theme;
    let (dim, text) = (theme.style(Role::Dim), theme.style(Role::Text));
    let inside = if area.height > 6 { section(buffer, area, theme, "Counts", "") } else { area };
    let count = |n: Option<u64>| format::or_dash(n, format::count).into_owned();
    let bytes = |n: Option<u64>| format::or_dash(n, format::bytes).into_owned();
    let time = |ns: Option<u64>| format::or_dash(ns, format::duration).into_owned();
    let small = |n: Option<u32>| count(n.map(u64::from));
    let (out, inward) = (&c.rings.outgoing, &c.rings.incoming);
    let ring = |used: Option<u32>, size: Option<u32>, max: Option<u32>| {
        let of = |n: Option<u32>| bytes(n.map(u64::from));
        format!("{} of {}, most {}", of(used), of(size), of(max))
    };
    let stalled = match c.tx.stalled_for_ns {
        Some(0) => "no".to_owned(),
        other => time(other),
    };
    let lines: [&[(&str, String)]; 6] = [
        &[
            ("sent      ", bytes(c.tx.bytes)),
            (" in packets ", count(c.tx.packets)),
            ("  calls ", count(c.tx.calls)),
            ("  short ", count(c.tx.short_writes)),
            ("  EAGAIN ", count(c.tx.eagain)),
        ],
        &[
            ("received  ", bytes(c.rx.bytes)),
            (" in packets ", count(c.rx.packets)),
            ("  calls ", count(c.rx.calls)),
            ("  waits ", count(c.rx.waits)),
            (" for ", time(c.rx.wait_ns)),
        ],
        &[
            ("stalls    ", count(c.tx.stalls)),
            (" for ", time(c.tx.stall_ns)),
            ("  now ", stalled),
            (
                "  last errno ",
                if c.tx.last_error == Some(0) { "none".to_owned() } else { small(c.tx.last_error) },
            ),
        ],
        &[
            ("to host   ", ring(out.used_bytes, out.size_bytes, out.max_used_bytes)),
            ("  full by 2016 rule ", small(out.full_by_2016_rule)),
        ],
        &[
            ("from host ", ring(inward.used_bytes, inward.size_bytes, inward.max_used_bytes)),
            ("  left unread ", bytes(inward.unread_bytes.map(u64::from))),
        ],
        &[
            ("callbacks ", count(c.callbacks.count)),
            (" took ", time(c.callbacks.run_ns)),
            ("  rings take ", bytes(c.rings.memory_bytes)),
            ("  order ", small(c.rings.alloc_order)),
        ],
    ];
    for (pieces, row) in lines.iter().zip(0..) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        for (label, value) in *pieces {
            line.whole(&[(label, dim), (value, text)]);
        }
    }
    below(inside, 6)
}

/// How often each ring was how full.
fn occupancy(app: &App, c: &Connection, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let halves = area.height / 2;
    let rings = [
        ("To host after each write", &c.rings.outgoing.occupancy),
        ("From host at each callback", &c.rings.incoming.occupancy),
    ];
    for ((title, buckets), number) in rings.into_iter().zip(0..2) {
        let place = Rect { y: area.y + number * halves.min(9), height: halves.min(8), ..area };
        let of = buckets.as_ref().map(|b| b.iter().map(|n| u64::from(*n)).sum());
        let title = format!("{title}, % of {}", format::or_dash(of, format::count));
        let inside = section(buffer, place, theme, &title, "0 to 100 %, then full");
        if inside.height < 2 {
            continue;
        }
        let Some(buckets) = buckets else {
            if let Some(mut line) = Line::of(buffer, inside, 0) {
                line.put("not measured", theme.style(Role::Dim));
            }
            continue;
        };
        let most = f64::from(buckets.iter().copied().max().unwrap_or(0).max(1));
        let wide = (inside.width / (buckets.len().max(1) as u16)).clamp(1, 6);
        let rows = inside.height - 1;
        for row in 0..rows {
            let Some(mut line) = Line::of(buffer, inside, rows - 1 - row) else { break };
            for (at, n) in buckets.iter().enumerate() {
                let role = if at + 1 == buckets.len() { Role::Bad } else { Role::Accent };
                let share = f64::from(*n) / most;
                let glyph = bars::column(share, row, rows).repeat(usize::from(wide.max(2) - 1));
                line.put(glyph, theme.style(role)).gap(u16::from(wide > 1));
            }
        }
        if let Some(mut line) = Line::of(buffer, inside, rows) {
            // Counts have no room here, and a part of a number is another number.
            let all = buckets.iter().map(|n| f64::from(*n)).sum::<f64>().max(1.0);
            for n in buckets.iter().take_while(|_| wide > 2) {
                let text = match f64::from(*n) * 100.0 / all {
                    0.0 => "·".to_owned(),
                    share if share < 0.5 => "<1".to_owned(),
                    // Not all, unless it is all.
                    share if share < 100.0 => format!("{:.0}", share.min(99.0)),
                    _ => "100".to_owned(),
                };
                line.put(format!("{text:<w$}", w = usize::from(wide)), theme.style(Role::Dim));
            }
        }
    }
}

/// What happened to it, the newest first.
fn events(app: &App, c: &Connection, area: Rect, buffer: &mut Buffer) {
    if area.height < 2 {
        return;
    }
    let theme = app.theme;
    let inside = section(buffer, area, theme, "Its events", "");
    let picture = app.picture();
    let its = picture.events.iter().rev().filter(|(_, event)| event.id.as_deref() == Some(&c.id));
    let mut row = 0;
    for (_, event) in its.take(usize::from(inside.height)) {
        let Some(mut line) = Line::of(buffer, inside, row) else { break };
        let time = event.time.as_deref().map_or(format::UNKNOWN, format::time_of_day);
        line.put(format!("{time}  {:<10}", words::event(event.event)), theme.style(Role::Text));
        if let Some(ns) = event.duration_ns {
            line.put(format!(" {}", format::duration(ns)), theme.style(Role::Text));
        }
        if let Some(why) = &event.why {
            line.put(format!("  {why}"), theme.style(Role::Dim));
        }
        row += 1;
    }
    if row == 0
        && let Some(mut line) = Line::of(buffer, inside, 0)
    {
        line.put("none since we look", theme.style(Role::Dim));
    }
}
