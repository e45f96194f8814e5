//! A screen as a picture.

use std::fmt::Write as _;

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier},
};

const CELL: (f64, f64) = (8.4, 17.0);

/// The screen as SVG, with the colours of a dark terminal.
pub(super) fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (buffer.area.width, buffer.area.height);
    let (wide, high) = (f64::from(columns) * CELL.0 + 16.0, f64::from(rows) * CELL.1 + 16.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {wide:.0} {high:.0}\" font-size=\"14\" \
         font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"#16181d\"/>\n"
    );
    for y in 0..rows {
        let mut x = 0;
        while x < columns {
            let cell = &buffer[(x, y)];
            let mut end = x;
            let mut text = String::new();
            while end < columns {
                let next = &buffer[(end, y)];
                if (next.fg, next.bg, next.modifier) != (cell.fg, cell.bg, cell.modifier) {
                    break;
                }
                text.push_str(next.symbol());
                end += crate::tui::widgets::line::width(next.symbol()).max(1);
            }
            run(&mut out, (x, y, end), cell, &text);
            x = end;
        }
    }
    out.push_str("</svg>\n");
    out
}

/// Signs that look alike, beside each other.
fn run(out: &mut String, (x, y, end): (u16, u16, u16), cell: &ratatui::buffer::Cell, text: &str) {
    let (left, top) = (f64::from(x) * CELL.0 + 8.0, f64::from(y) * CELL.1 + 8.0);
    let wide = f64::from(end - x) * CELL.0;
    if let Some(color) = colour(cell.bg) {
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{wide:.1}\" height=\"{:.1}\" fill=\"{color}\"/>",
            CELL.1
        );
    }
    if text.trim().is_empty() {
        return;
    }
    let bold = if cell.modifier.contains(Modifier::BOLD) { " font-weight=\"bold\"" } else { "" };
    let color = colour(cell.fg).unwrap_or_else(|| "#d0d0d0".to_owned());
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let _ = writeln!(
        out,
        "<text x=\"{left:.1}\" y=\"{:.1}\" textLength=\"{wide:.1}\" lengthAdjust=\"spacingAndGlyphs\" xml:space=\"preserve\" \
         fill=\"{color}\"{bold}>{text}</text>",
        top + CELL.1 * 0.76
    );
}

/// The colour that terminals give to a number of 256.
fn colour(color: Color) -> Option<String> {
    let Color::Indexed(n) = color else { return None };
    let (r, g, b) = match n {
        16..=231 => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let n = n - 16;
            (level(n / 36), level(n / 6 % 6), level(n % 6))
        }
        232.. => (8 + 10 * (n - 232), 8 + 10 * (n - 232), 8 + 10 * (n - 232)),
        _ => (208, 208, 208),
    };
    Some(format!("#{r:02x}{g:02x}{b:02x}"))
}
