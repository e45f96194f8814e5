//! Lifecycle events, the newest first.

use ratatui::{buffer::Buffer, layout::Rect};

use super::table;
use crate::{
    model::{EventKind, LifecycleEvent},
    tui::{
        action::View,
        app::App,
        format, rows,
        theme::Role,
        widgets::{
            boxed::section,
            grid::{Cell, Column, Grid},
        },
        words,
    },
};

const COLUMNS: &[Column] = &[
    Column::text("TIME", 12, 12, 0),
    Column::text("EVENT", 14, 14, 0),
    Column::text("HOST", 4, 4, 2),
    Column::port("PORT", 0),
    Column::text("PROCESS", 14, 32, 0),
    Column::number("TOOK", 8, 0),
    Column::text("WHY", 12, 24, 0),
    Column::number("SENT", 9, 4),
    Column::number("RECEIVED", 9, 4),
    Column::number("UNREAD", 8, 5),
    Column { right: true, ..Column::text("ERRNO", 5, 5, 5) },
    Column::number("PEER PORT", 10, 6),
    Column::text("ID", 8, 24, 6),
];

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let rows = rows::events(app);
    let number: Option<u64> = app.selection().and_then(|key| key.parse().ok());
    let selected = number.and_then(|number| rows.iter().position(|(n, _)| *n == number));
    let grid = Grid {
        columns: COLUMNS,
        sorted: None,
        rows: rows.len(),
        selected,
        first: 0,
        empty: if app.filter.query.is_some() {
            "no event passes the filter"
        } else {
            "nothing has happened yet"
        },
    };
    table(app, View::Events, area, buffer, grid, |_| false, |row, column| cell(rows[row].1, column));
}

/// What of it the overview has room for.
const BRIEF: [usize; 6] = [0, 1, 3, 4, 5, 6];

/// The newest of them, for the overview; whatever the filter is.
pub(super) fn latest(app: &App, area: Rect, buffer: &mut Buffer) {
    let inside = section(buffer, area, app.theme, "Latest events", "");
    let picture = app.picture();
    let rows: Vec<_> = picture.events.iter().rev().take(usize::from(inside.height)).collect();
    let columns = BRIEF.map(|column| match COLUMNS[column] {
        process if column == 4 => Column { rank: 1, ..process },
        other => other,
    });
    let grid = Grid {
        columns: &columns,
        sorted: None,
        rows: rows.len(),
        selected: None,
        first: 0,
        empty: "nothing has happened yet",
    };
    let shown = |row: usize, column: usize| cell(&rows[row].1, BRIEF[column]);
    grid.draw(buffer, inside, app.theme, |_| false, shown);
}

fn cell(event: &LifecycleEvent, column: usize) -> Cell {
    use crate::model::Direction::{FromHost, ToHost};
    if event.event == EventKind::Lost {
        return match column {
            0 => Cell::with(format::UNKNOWN, Role::Dim),
            1 => Cell::with(format!("{} lost", event.lost.unwrap_or(0)), Role::Bad),
            6 => Cell::with("totals are right", Role::Dim),
            _ => Cell::new(""),
        };
    }
    let port = |n: Option<u32>| Cell::known(n, |n| n.to_string());
    let (service, peer) = match event.direction {
        Some(FromHost) => (event.local_port, event.remote_port),
        Some(ToHost) => (event.remote_port, event.local_port),
        None => (None, None),
    };
    let end = |cell: Cell| if event.event == EventKind::Closed { cell } else { Cell::new("") };
    match column {
        0 => Cell::known(event.time.as_deref(), |time| clock(time).to_owned()),
        1 => Cell::with(words::event(event.event), role(event)),
        2 => Cell::known(event.direction, |d| words::short_direction(d).to_owned()),
        3 => port(service),
        4 => Cell::new(words::process(event.comm.as_deref(), event.pid)),
        5 => Cell::known(event.duration_ns, format::duration),
        6 => Cell::new(event.why.clone().unwrap_or_default().replace('_', " ")),
        7 => end(Cell::known(event.tx_bytes, format::bytes)),
        8 => end(Cell::known(event.rx_bytes, format::bytes)),
        9 => end(Cell::known(event.unread_bytes.map(u64::from), format::bytes)),
        10 => event.errno.map_or_else(|| Cell::new(""), |n| Cell::with(n.to_string(), Role::Warn)),
        11 => port(peer),
        _ => Cell::with(event.id.clone().unwrap_or_default(), Role::Dim),
    }
}

/// The time of day with its milliseconds.
fn clock(time: &str) -> &str {
    let time = time.split_once('T').map_or(time, |(_, time)| time);
    time.get(..12).unwrap_or(time)
}

fn role(event: &LifecycleEvent) -> Role {
    match event.event {
        EventKind::Opened | EventKind::Accepted => Role::Good,
        EventKind::OpenFailed | EventKind::ConnectFailed | EventKind::Lost => Role::Bad,
        EventKind::Closed => match event.why.as_deref() {
            Some("graceful") => Role::Dim,
            _ => Role::Warn,
        },
    }
}
