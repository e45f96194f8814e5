//! All connections.

use ratatui::{buffer::Buffer, layout::Rect};

use super::table;
use crate::tui::{
    action::View,
    app::{App, Hit},
    columns, rows,
    widgets::grid::Grid,
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let rows = rows::connections(app);
    let selected = app.connection().and_then(|id| rows.iter().position(|row| row.connection.id == id));
    // One that has gone takes the list with it only if it was chosen then: nobody wants to follow it to the end.
    let chosen = app.shown.followed.borrow().as_deref() != app.connection();
    let first = app.shown.first.borrow().get(&View::Connections).copied().unwrap_or(0);
    let seen = first..first + usize::from(area.height.saturating_sub(1));
    let selected = selected.filter(|row| chosen || rows[*row].gone_for_ns.is_none() || seen.contains(row));
    app.shown.followed.replace(app.connection().map(str::to_owned));
    let sorted = app.sort.by.filter(|_| app.held.is_none());
    let sorted = sorted.and_then(|by| columns::ALL.iter().position(|which| *which == by));
    let grid = Grid {
        columns: &columns::COLUMNS,
        sorted: sorted.map(|column| (column, app.sort.descending)),
        rows: rows.len(),
        selected,
        first: 0,
        empty: if app.filter.query.is_some() { "no connection passes the filter" } else { "no connections" },
    };
    let placed = table(
        app,
        View::Connections,
        area,
        buffer,
        grid,
        |row| rows[row].gone_for_ns.is_some(),
        |row, column| columns::ALL[column].cell(&rows[row]),
    );
    let hits = placed.headings.into_iter().map(|(column, place)| (place, Hit::Sort(column)));
    app.shown.hits.borrow_mut().extend(hits);
}
