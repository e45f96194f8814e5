//! Listeners: how full their backlogs are, and what they lost.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{above, below, table};
use crate::{
    model::Listener,
    tui::{
        action::View,
        app::App,
        columns::gauge,
        derive, format, rows,
        theme::Role,
        widgets::{
            bars,
            boxed::section,
            grid::{Cell, Column, Grid},
            line::Line,
        },
        words,
    },
};

const COLUMNS: &[Column] = &[
    Column::port("PORT", 0),
    Column::text("PROCESS", 14, 32, 0),
    Column::text("BACKLOG", 10, 10, 0),
    Column::number("NOW", 5, 0),
    Column::number("PEAK", 5, 0),
    Column::number("LIMIT", 5, 0),
    Column::number("ACCEPTED", 8, 0),
    Column::number("DROPPED", 7, 0),
    Column::number("NEVER ACCEPTED", 14, 1),
    Column::number("NO LISTENER", 11, 2),
    Column::number("LIVE", 5, 3),
    Column::number("TX TOTAL", 9, 4),
    Column::number("RX TOTAL", 9, 4),
    Column::text("SERVICE", 36, 36, 5),
];

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let rows = rows::listeners(app);
    let selected = app.selection().and_then(|key| rows.iter().position(|l| l.port.to_string() == key));
    let grid = Grid {
        columns: COLUMNS,
        sorted: None,
        rows: rows.len(),
        selected,
        first: 0,
        empty: "no listeners, and the host has tried no port",
    };
    let waits = 3.min(area.height / 3);
    let list = above(area, area.height - waits);
    let dim = |row: usize| rows[row].backlog.is_none() && rows[row].max_backlog.is_none();
    table(app, View::Listeners, list, buffer, grid, dim, |row, column| cell(app, rows[row], column));
    accepting(app, below(area, area.height - waits), buffer);
}

fn cell(app: &App, listener: &Listener, column: usize) -> Cell {
    let number = |n: Option<u32>| Cell::known(n, |n| n.to_string());
    let port = || {
        let ports = &app.picture().snapshot.as_ref()?.ports;
        ports.iter().find(|p| p.port == listener.port && p.direction == crate::model::Direction::FromHost)
    };
    match column {
        0 => Cell::new(listener.port.to_string()),
        1 => Cell::new(words::process(listener.comm.as_deref(), listener.pid)),
        2 => match (listener.backlog, listener.max_backlog) {
            // hv_sock takes one more than the limit before it refuses.
            (Some(now), Some(limit)) => {
                let share = f64::from(now) / f64::from(limit.saturating_add(1));
                Cell { role: gauge(Some(share)).role, ..Cell::new(bars::bar(share, 10)) }
            }
            _ => Cell::known(None::<u32>, |_| String::new()),
        },
        3 => number(listener.backlog),
        4 => number(listener.peak_backlog),
        5 => number(listener.max_backlog),
        6 => Cell::known(listener.accepted, format::count),
        7 => Cell::alarm(listener.drops.backlog_full, Role::Bad),
        8 => Cell::alarm(listener.drops.never_accepted, Role::Bad),
        9 => {
            let refused = port().map(|p| p.offers.get("no_listener").copied().unwrap_or(0));
            Cell::alarm(refused, Role::Warn)
        }
        10 => Cell::known(port().map(|p| p.live), format::count),
        11 => Cell::known(port().and_then(|p| p.traffic.tx_bytes), format::bytes),
        12 => Cell::known(port().and_then(|p| p.traffic.rx_bytes), format::bytes),
        _ => Cell::with(listener.service_guid.clone(), Role::Dim),
    }
}

/// How long connections wait to be accepted: of all listeners together.
fn accepting(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let inside = section(buffer, area, theme, "Waiting for accept", "all listeners");
    let Some(snapshot) = app.picture().snapshot.as_deref() else { return };
    let Some(mut line) = Line::of(buffer, inside, 0) else { return };
    let histogram = derive::histogram(snapshot, "accept_wait");
    let dim = theme.style(Role::Dim);
    let Some(h) = histogram else {
        line.put("not measured", dim);
        return;
    };
    line.put(format::count(h.count), theme.style(Role::Text)).put(" accepted", dim);
    for (name, ns) in [("p50", h.p50_ns), ("p90", h.p90_ns), ("p99", h.p99_ns), ("max", h.max_ns)] {
        line.put(format!("   {name} "), dim);
        line.put(format::or_dash(ns, format::duration), theme.style(Role::Text));
    }
    let Some(mut line) = Line::of(buffer, inside, 1) else { return };
    line.put("99th percentile, now  ", dim);
    let series = &app.picture().history.accept_p99;
    let wide = line.left().saturating_sub(12);
    let values: Vec<_> = series.last(wide.into()).collect();
    let peak = series.peak(wide.into());
    line.put(bars::curve(values.into_iter(), wide, peak.unwrap_or(0.0)), theme.style(Role::Accent));
    line.put(
        format!(" {}", format::or_dash(series.newest(), |ns| format::duration(ns as u64))),
        theme.style(Role::Text),
    );
}
