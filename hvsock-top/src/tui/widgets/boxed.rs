//! A part of the screen under a title.

use ratatui::{buffer::Buffer, layout::Rect};

use super::line::Line;
use crate::tui::theme::{Role, Theme};

/// Draws `title` and a line beside it on the first line of `area`, and gives what is left below.
pub(crate) fn section(buffer: &mut Buffer, area: Rect, theme: Theme, title: &str, note: &str) -> Rect {
    if let Some(mut line) = Line::of(buffer, area, 0) {
        if !note.is_empty() {
            line.right(&format!(" {note}"), theme.style(Role::Dim));
        }
        line.put(title, theme.style(Role::Title)).gap(1);
        let rest = "─".repeat(usize::from(line.left()));
        line.put(rest, theme.style(Role::Line));
    }
    Rect { y: area.y + 1.min(area.height), height: area.height.saturating_sub(1), ..area }
}

/// Clears the middle of `area`, draws a frame with a title around it, and gives the inside.
pub(crate) fn popup(buffer: &mut Buffer, area: Rect, theme: Theme, title: &str, size: (u16, u16)) -> Rect {
    let (width, height) = (size.0.min(area.width), size.1.min(area.height));
    let frame =
        Rect::new(area.x + (area.width - width) / 2, area.y + (area.height - height) / 2, width, height);
    let frame = frame.intersection(buffer.area);
    if frame.width < 4 || frame.height < 3 {
        return Rect::default();
    }
    for y in frame.top()..frame.bottom() {
        for x in frame.left()..frame.right() {
            buffer[(x, y)].reset();
        }
    }
    let line = theme.style(Role::Line);
    let edge = "─".repeat(usize::from(frame.width) - 2);
    buffer.set_string(frame.x, frame.y, format!("╭{edge}╮"), line);
    buffer.set_string(frame.x, frame.bottom() - 1, format!("╰{edge}╯"), line);
    for y in frame.y + 1..frame.bottom() - 1 {
        buffer.set_string(frame.x, y, "│", line);
        buffer.set_string(frame.right() - 1, y, "│", line);
    }
    buffer.set_stringn(
        frame.x + 2,
        frame.y,
        format!(" {title} "),
        usize::from(frame.width) - 4,
        theme.style(Role::Title),
    );
    Rect::new(frame.x + 2, frame.y + 1, frame.width - 4, frame.height - 2)
}
