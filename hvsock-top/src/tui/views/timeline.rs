//! Where a recording is.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::{
    app::{App, Hit},
    format,
    theme::Role,
    widgets::line::Line,
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(position) = &app.position else { return };
    let theme = app.theme;
    let Some(mut line) = Line::of(buffer, area, 0) else { return };
    let more = if position.complete { "" } else { "+" };
    line.right(
        &format!(
            " {} / {}{more}  {} of {}{more} ",
            format::clock(position.at_ns),
            format::clock(position.length_ns),
            position.index + usize::from(position.count > 0),
            position.count,
        ),
        theme.style(Role::Text),
    );
    let sign = if position.playing { "▶" } else { "‖" };
    line.put(format!(" {sign} {}× ", position.speed), theme.style(Role::Accent));
    let (x, y) = line.at();
    let wide = line.left();
    if wide < 3 {
        return;
    }
    let last = position.count.saturating_sub(1).max(1);
    let at = (position.index.min(last) as f64 / last as f64 * f64::from(wide - 1)).round() as usize;
    line.put("━".repeat(at), theme.style(Role::Accent));
    line.put("●", theme.style(Role::Accent));
    line.put("─".repeat(usize::from(wide) - at - 1), theme.style(Role::Line));
    app.shown.hits.borrow_mut().push((Rect::new(x, y, wide, 1), Hit::Timeline));
}
