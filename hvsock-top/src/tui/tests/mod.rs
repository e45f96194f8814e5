//! The screen as a whole: every view with every sort of guest at three sizes, and what keys do to it.

mod guests;
mod keys;
mod pictures;
mod screens;
mod svg;

use std::time::Duration;

use ratatui::{buffer::Buffer, layout::Rect};

use super::{App, Config, Palette, Theme, draw};

/// A screen to which nothing has come.
fn app() -> App {
    let theme = Theme { palette: Palette::Dark, ascii: false };
    App::new(&Config::default(), theme, Duration::from_secs(1))
}

/// What it shows.
fn drawn(app: &App, columns: u16, rows: u16) -> Buffer {
    let area = Rect::new(0, 0, columns, rows);
    let mut buffer = Buffer::empty(area);
    draw(app, area, &mut buffer);
    buffer
}

/// The same as text: a sign two columns wide stands once.
fn text(buffer: &Buffer) -> String {
    let mut text = String::new();
    for y in 0..buffer.area.height {
        let mut line = String::new();
        let mut x = 0;
        while x < buffer.area.width {
            let symbol = buffer[(x, y)].symbol();
            line.push_str(symbol);
            x += super::widgets::line::width(symbol).max(1);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
