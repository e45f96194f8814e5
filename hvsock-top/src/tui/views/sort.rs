//! The choice of what to sort by.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::{
    app::App,
    columns,
    theme::Role,
    widgets::{boxed::popup, line::Line},
};

pub(super) fn draw(app: &App, at: usize, area: Rect, buffer: &mut Buffer) {
    let choices = columns::ALL.len() + 1;
    let height = u16::try_from(choices + 2).unwrap_or(u16::MAX);
    let inside = popup(buffer, area, app.theme, "sort by", (30, height));
    let room = usize::from(inside.height).max(1);
    let first = (at + 1).saturating_sub(room);
    for (choice, row) in (first..choices).zip(0..inside.height) {
        let title = choice.checked_sub(1).map_or("ACTIVITY", |column| columns::ALL[column].title());
        let now = app.sort.by == choice.checked_sub(1).map(|column| columns::ALL[column]);
        let mark = match (now, app.sort.descending) {
            (false, _) => " ",
            (true, true) => "▼",
            (true, false) => "▲",
        };
        let role = if choice == at { Role::Selected } else { Role::Text };
        let Some(mut line) = Line::of(buffer, inside, row) else { return };
        line.put(format!("{mark} {title:<24}"), app.theme.style(role));
    }
}
