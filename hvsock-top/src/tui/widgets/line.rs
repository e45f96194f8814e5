//! A line of text, written from left to right within bounds.

use ratatui::{buffer::Buffer, layout::Rect, style::Style};
use unicode_width::UnicodeWidthStr as _;

/// Writes into one line; what does not fit is cut.
pub(crate) struct Line<'a> {
    buffer: &'a mut Buffer,
    x: u16,
    y: u16,
    end: u16,
}

impl<'a> Line<'a> {
    /// Line `row` of `area`, counted from its top; `None` where the area has no such line.
    pub(crate) fn of(buffer: &'a mut Buffer, area: Rect, row: u16) -> Option<Self> {
        let area = area.intersection(buffer.area);
        (row < area.height && area.width > 0).then(|| Self {
            x: area.x,
            y: area.y + row,
            end: area.right(),
            buffer,
        })
    }

    /// Where the next piece goes.
    pub(crate) fn at(&self) -> (u16, u16) {
        (self.x, self.y)
    }

    /// Columns that are left.
    pub(crate) fn left(&self) -> u16 {
        self.end - self.x
    }

    /// Writes `text`; a text that is cut ends with an ellipsis.
    pub(crate) fn put(&mut self, text: impl AsRef<str>, style: Style) -> &mut Self {
        let text = text.as_ref();
        let left = self.left();
        if left == 0 {
            return self;
        }
        let cut = width(text) > left;
        let (x, _) = self.buffer.set_stringn(self.x, self.y, text, usize::from(left - u16::from(cut)), style);
        self.x = x;
        if cut && self.x < self.end {
            self.buffer.set_string(self.x, self.y, "…", style);
            self.x = self.end;
        }
        self
    }

    /// Writes all of the pieces, or none if they do not fit.
    pub(crate) fn whole(&mut self, pieces: &[(&str, Style)]) -> bool {
        let fits = pieces.iter().map(|(text, _)| width(text)).sum::<u16>() <= self.left();
        if fits {
            for (text, style) in pieces {
                self.put(text, *style);
            }
        }
        fits
    }

    /// Leaves `n` columns.
    pub(crate) fn gap(&mut self, n: u16) -> &mut Self {
        self.x = self.end.min(self.x + n);
        self
    }

    /// Goes to column `x` of the area, if that lies ahead.
    pub(crate) fn to(&mut self, x: u16) -> &mut Self {
        self.x = self.x.max(x).min(self.end);
        self
    }

    /// Writes `text` at the right end, if it fits, and keeps its place free.
    pub(crate) fn right(&mut self, text: &str, style: Style) -> &mut Self {
        let width = width(text);
        if width <= self.left() {
            self.buffer.set_string(self.end - width, self.y, text, style);
            self.end -= width;
        }
        self
    }
}

/// Columns that `text` takes.
pub(crate) fn width(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

/// `text` broken at blanks into lines of at most `columns`.
pub(crate) fn wrap(text: &str, columns: u16) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(columns: u16, draw: impl FnOnce(&mut Line<'_>)) -> String {
        let area = Rect::new(0, 0, columns, 1);
        let mut buffer = Buffer::empty(area);
        draw(&mut Line::of(&mut buffer, area, 0).unwrap());
        buffer.content.iter().map(ratatui::buffer::Cell::symbol).collect()
    }

    #[test]
    fn what_does_not_fit_is_cut_and_said_so() {
        assert_eq!(shown(6, |l| _ = l.put("abcdef", Style::new())), "abcdef");
        assert_eq!(shown(6, |l| _ = l.put("abcdefg", Style::new())), "abcde…");
        assert_eq!(shown(5, |l| _ = l.put("日本語", Style::new())).trim_end(), "日 本 …");
        assert_eq!(shown(4, |l| _ = l.put("日本語", Style::new())).trim_end(), "日 …");
    }

    #[test]
    fn the_right_end_is_kept_free() {
        assert_eq!(shown(8, |l| _ = l.right("zz", Style::new()).put("abcdefghi", Style::new())), "abcde…zz");
        assert_eq!(shown(3, |l| _ = l.right("long", Style::new()).put("a", Style::new())), "a  ");
    }

    #[test]
    fn lines_break_at_blanks() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("incomprehensible", 4), ["incomprehensible"]);
        assert!(wrap(" ", 4).is_empty());
    }
}
