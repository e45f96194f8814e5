//! The views. Each draws from the state alone and changes nothing but what is known of where things are on the screen.

mod connections;
mod detail;
mod doctor;
mod events;
mod findings;
mod footer;
mod header;
mod help;
mod latency;
mod listeners;
mod lookup;
mod overview;
mod probes;
mod sort;
mod timeline;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{
    action::View,
    app::{App, Hit, Mode},
    theme::{Role, Theme},
    widgets::{
        grid::{Cell, Grid, Placed},
        line::{Line, wrap},
    },
};

/// The smallest screen on which everything has room.
const LEAST: (u16, u16) = (60, 14);

/// Draws the whole screen.
pub fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    app.shown.hits.borrow_mut().clear();
    app.shown.height.set(0);
    if area.width < LEAST.0 || area.height < LEAST.1 {
        tiny(app, area, buffer);
        app.theme.finish(buffer);
        return;
    }
    if let Some(report) = &app.doctor {
        doctor::draw(app, report, area, buffer);
        app.theme.finish(buffer);
        return;
    }
    let has_timeline = u16::from(app.position.is_some());
    let header = Rect { height: 3, ..area };
    let body = Rect { y: area.y + 3, height: area.height - 4 - has_timeline, ..area };
    header::draw(app, header, buffer);
    match app.view {
        View::Overview => overview::draw(app, body, buffer),
        View::Connections => connections::draw(app, body, buffer),
        View::Detail => detail::draw(app, body, buffer),
        View::Listeners => listeners::draw(app, body, buffer),
        View::Latency => latency::draw(app, body, buffer),
        View::Lookup => lookup::draw(app, body, buffer),
        View::Findings => findings::draw(app, body, buffer),
        View::Probes => probes::draw(app, body, buffer),
        View::Events => events::draw(app, body, buffer),
    }
    if app.position.is_some() {
        timeline::draw(app, Rect { y: body.bottom(), height: 1, ..area }, buffer);
    }
    footer::draw(app, Rect { y: area.bottom() - 1, height: 1, ..area }, buffer);
    match &app.mode {
        Mode::Help(top) => help::draw(app, *top, body, buffer),
        Mode::Sort(at) => sort::draw(app, *at, body, buffer),
        Mode::Normal | Mode::Filter(_) => {}
    }
    app.theme.finish(buffer);
}

/// On a screen too small for more: whether anything is wrong.
fn tiny(app: &App, area: Rect, buffer: &mut Buffer) {
    header::status(app, area, buffer);
    let (columns, rows) = LEAST;
    if let Some(mut line) = Line::of(buffer, area, 1) {
        line.put(format!("needs {columns}×{rows}"), app.theme.style(Role::Dim));
    }
}

/// Draws the table of a view and remembers where it is.
fn table(
    app: &App,
    view: View,
    area: Rect,
    buffer: &mut Buffer,
    mut grid: Grid<'_>,
    dim: impl Fn(usize) -> bool,
    cell: impl Fn(usize, usize) -> Cell,
) -> Placed {
    grid.first = app.shown.first.borrow().get(&view).copied().unwrap_or(0);
    let rows = grid.rows;
    let placed = grid.draw(buffer, area, app.theme, dim, cell);
    app.shown.first.borrow_mut().insert(view, placed.first);
    app.shown.height.set(usize::from(placed.body.height));
    let shown = u16::try_from(rows.saturating_sub(placed.first)).unwrap_or(u16::MAX).min(placed.body.height);
    app.shown.hits.borrow_mut().push((Rect { height: shown, ..placed.body }, Hit::Rows(placed.first)));
    placed
}

/// Lines of text under each other, broken at blanks; gives how many lines were taken.
fn paragraph(buffer: &mut Buffer, area: Rect, theme: Theme, role: Role, text: &str) -> u16 {
    let mut used = 0;
    for text in wrap(text, area.width) {
        let Some(mut line) = Line::of(buffer, area, used) else { break };
        line.put(text, theme.style(role));
        used += 1;
    }
    used
}

/// What is left of `area` below its first `n` lines.
fn below(area: Rect, n: u16) -> Rect {
    let n = n.min(area.height);
    Rect { y: area.y + n, height: area.height - n, ..area }
}

/// The first `n` lines of `area`.
fn above(area: Rect, n: u16) -> Rect {
    Rect { height: n.min(area.height), ..area }
}

/// `area` in two parts beside each other with a gap of two, the left one `left` wide.
fn beside(area: Rect, left: u16) -> (Rect, Rect) {
    let left = left.min(area.width);
    let right = (left + 2).min(area.width);
    (Rect { width: left, ..area }, Rect { x: area.x + right, width: area.width - right, ..area })
}

/// What a view says as long as no Snapshot has come.
fn waiting(app: &App, area: Rect, buffer: &mut Buffer) {
    if let Some(mut line) = Line::of(buffer, area, 0) {
        let text =
            if app.failed.is_some() { "no Snapshot came" } else { "waiting for the first Snapshot …" };
        line.put(text, app.theme.style(Role::Dim));
    }
}
