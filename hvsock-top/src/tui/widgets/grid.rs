//! A table: columns that go when room is short, rows that scroll, one of them selected.

use std::borrow::Cow;

use ratatui::{buffer::Buffer, layout::Rect};

use super::line::width;
use crate::tui::theme::{Role, Theme};

/// A column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Column {
    /// Above it.
    pub title: &'static str,
    /// The least columns of the terminal that it takes.
    pub least: u16,
    /// The most, if what is in it is longer.
    pub most: u16,
    /// Numbers stand at the right.
    pub right: bool,
    /// What is in it is never cut: others go first when room is short.
    pub whole: bool,
    /// 0 stays always; of the others those with the largest go first when room is short.
    pub rank: u8,
}

impl Column {
    /// A column of text.
    pub(crate) const fn text(title: &'static str, least: u16, most: u16, rank: u8) -> Self {
        Self { title, least, most, right: false, whole: false, rank }
    }

    /// A column of numbers.
    pub(crate) const fn number(title: &'static str, least: u16, rank: u8) -> Self {
        Self { title, least, most: least, right: true, whole: false, rank }
    }

    /// A column of ports: mostly of five digits, ten at most. A part of one would be another port.
    pub(crate) const fn port(title: &'static str, rank: u8) -> Self {
        Self { title, least: 5, most: 10, right: true, whole: true, rank }
    }
}

/// What stands in a place of a table.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The text.
    pub text: Cow<'static, str>,
    /// How it looks.
    pub role: Role,
}

impl Cell {
    /// Ordinary text.
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), role: Role::Text }
    }

    /// The same in a role of its own.
    pub fn with(text: impl Into<Cow<'static, str>>, role: Role) -> Self {
        Self { text: text.into(), role }
    }

    /// A number or other value that may be unknown.
    pub fn known<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> Self {
        match value {
            Some(value) => Self::new(show(value)),
            None => Self::with(crate::tui::format::UNKNOWN, Role::Dim),
        }
    }

    /// The same, which stands out when it is not zero.
    pub fn alarm(value: Option<u64>, role: Role) -> Self {
        let cell = Self::known(value, crate::tui::format::count);
        match value {
            Some(0) => Self { role: Role::Dim, ..cell },
            Some(_) => Self { role, ..cell },
            None => cell,
        }
    }
}

/// A table to be drawn.
pub(crate) struct Grid<'a> {
    /// The columns.
    pub columns: &'a [Column],
    /// The column that rows are sorted by, and whether the largest comes first.
    pub sorted: Option<(usize, bool)>,
    /// How many rows there are.
    pub rows: usize,
    /// Which of them is selected.
    pub selected: Option<usize>,
    /// The first that is shown, if it can stay.
    pub first: usize,
    /// What to say when there are none.
    pub empty: &'a str,
}

/// Where things are, for the mouse and for paging.
#[derive(Clone, Debug, Default)]
pub(crate) struct Placed {
    /// Column and its place in the heading.
    pub headings: Vec<(usize, Rect)>,
    /// The part of the screen with rows.
    pub body: Rect,
    /// The first row shown.
    pub first: usize,
}

impl Grid<'_> {
    /// Draws it; `cell(row, column)` is asked for what is shown only. A row that is `dim` is drawn so.
    pub(crate) fn draw(
        &self,
        buffer: &mut Buffer,
        area: Rect,
        theme: Theme,
        dim: impl Fn(usize) -> bool,
        cell: impl Fn(usize, usize) -> Cell,
    ) -> Placed {
        let area = area.intersection(buffer.area);
        if area.height < 2 || area.width < 4 {
            return Placed::default();
        }
        let body = Rect { y: area.y + 1, height: area.height - 1, ..area };
        let height = usize::from(body.height);
        let first = first_row(self.first, self.selected, height, self.rows);
        let shown = first..self.rows.min(first + height);
        let cells: Vec<Vec<Cell>> = shown
            .clone()
            .map(|row| (0..self.columns.len()).map(|column| cell(row, column)).collect())
            .collect();
        let layout = self.places(area.width, &cells);
        let mut placed = Placed { body, first, headings: Vec::with_capacity(layout.len()) };
        for &(column, x, wide) in &layout {
            let sorted = self.sorted.filter(|(by, _)| *by == column);
            let role = if sorted.is_some() { Role::Accent } else { Role::Title };
            let mark = sorted.map_or("", |(_, down)| if down { "▼" } else { "▲" });
            let title = format!("{}{mark}", self.columns[column].title);
            let place = Rect::new(area.x + x, area.y, wide, 1);
            write(buffer, place, &title, self.columns[column].right, theme.style(role));
            placed.headings.push((column, place));
        }
        if self.rows == 0 {
            buffer.set_stringn(body.x, body.y, self.empty, usize::from(body.width), theme.style(Role::Dim));
        }
        for ((row, cells), y) in shown.zip(&cells).zip(body.y..) {
            let selected = self.selected == Some(row);
            if selected {
                buffer.set_style(Rect::new(body.x, y, body.width, 1), theme.style(Role::Selected));
            }
            let dim = dim(row);
            for &(column, x, wide) in &layout {
                let cell = &cells[column];
                let mut style = theme.style(if dim { Role::Dim } else { cell.role });
                if selected {
                    style = style.patch(theme.style(Role::Selected));
                }
                let place = Rect::new(body.x + x, y, wide, 1);
                write(buffer, place, &cell.text, self.columns[column].right, style);
            }
        }
        placed
    }

    /// Which columns are shown, where, and how wide.
    fn places(&self, room: u16, cells: &[Vec<Cell>]) -> Vec<(usize, u16, u16)> {
        let needed = |shown: &[usize], widths: &[u16]| {
            shown.iter().map(|c| widths[*c] + 1).sum::<u16>().saturating_sub(1)
        };
        let longest: Vec<u16> = (0..self.columns.len())
            .map(|column| cells.iter().map(|row| width(&row[column].text)).max().unwrap_or(0))
            .collect();
        let wanted = |column: &Column, longest: u16| column.least.max(longest.min(column.most));
        let least: Vec<u16> = (self.columns.iter().zip(&longest))
            .map(|(column, longest)| if column.whole { wanted(column, *longest) } else { column.least })
            .collect();
        let mut shown: Vec<usize> = (0..self.columns.len()).collect();
        while needed(&shown, &least) > room {
            let Some(worst) = shown.iter().copied().filter(|c| self.columns[*c].rank > 0).max_by_key(|c| {
                // Of two alike the one further right goes.
                (self.columns[*c].rank, *c)
            }) else {
                break;
            };
            shown.retain(|c| *c != worst);
        }
        let mut widths = least;
        for &column in &shown {
            let left = room.saturating_sub(needed(&shown, &widths));
            let more = wanted(&self.columns[column], longest[column]).saturating_sub(widths[column]);
            widths[column] += more.min(left);
        }
        let mut x = 0;
        let mut places = Vec::with_capacity(shown.len());
        for column in shown {
            let wide = widths[column].min(room.saturating_sub(x));
            if wide > 0 {
                places.push((column, x, wide));
            }
            x += widths[column] + 1;
        }
        places
    }
}

/// The first row to show, so that the selected one is among those shown and the last page is full.
fn first_row(first: usize, selected: Option<usize>, height: usize, rows: usize) -> usize {
    let first = selected.map_or(first, |row| first.max((row + 1).saturating_sub(height)).min(row));
    first.min(rows.saturating_sub(height))
}

fn write(buffer: &mut Buffer, place: Rect, text: &str, right: bool, style: ratatui::style::Style) {
    let wide = width(text);
    if wide > place.width {
        // Of a process the name is cut, not the number.
        let tail = text.rfind('[').filter(|_| text.ends_with(']')).map_or("", |at| &text[at..]);
        let tail = if width(tail) + 2 > place.width { "" } else { tail };
        let room = place.width.saturating_sub(1 + width(tail));
        let name = &text[..text.len() - tail.len()];
        let (x, _) = buffer.set_stringn(place.x, place.y, name, usize::from(room), style);
        buffer.set_string(x, place.y, format!("…{tail}"), style);
    } else {
        let x = if right { place.right() - wide } else { place.x };
        buffer.set_string(x, place.y, text, style);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column::text("NAME", 4, 8, 0), Column::number("N", 3, 1), Column::number("MORE", 4, 2)];

    fn drawn(width: u16, rows: usize, selected: Option<usize>) -> Vec<String> {
        let area = Rect::new(0, 0, width, 4);
        let mut buffer = Buffer::empty(area);
        let grid = Grid { columns: COLUMNS, sorted: None, rows, selected, first: 0, empty: "nothing" };
        let cell = |row: usize, column: usize| match column {
            0 => Cell::new(format!("row {row}")),
            _ => Cell::new((row * 1000).to_string()),
        };
        grid.draw(&mut buffer, area, Theme::default(), |_| false, cell);
        (0..4)
            .map(|y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned())
            .collect()
    }

    #[test]
    fn columns_go_by_rank() {
        assert_eq!(
            drawn(14, 2, None),
            ["NAME    N MORE", "row 0   0    0", "row 1 10… 1000", ""].map(|line: &str| line.to_owned())
        );
        assert_eq!(drawn(10, 1, None)[0], "NAME    N");
        assert_eq!(drawn(5, 1, None), ["NAME", "row 0", "", ""]);
    }

    #[test]
    fn the_selected_row_is_shown() {
        assert_eq!(drawn(5, 9, Some(5)), ["NAME", "row 3", "row 4", "row 5"]);
        assert_eq!(first_row(7, Some(2), 3, 9), 2);
        assert_eq!(first_row(7, None, 3, 4), 1, "the last page is full");
        assert_eq!(first_row(0, Some(5), 0, 9), 5, "no room at all");
    }

    #[test]
    fn a_port_is_whole_and_a_process_keeps_its_number() {
        const COLUMNS: &[Column] =
            &[Column::text("PROCESS", 8, 20, 0), Column::port("PORT", 0), Column::number("N", 3, 1)];
        let draw = |port: u32| {
            let area = Rect::new(0, 0, 19, 2);
            let mut buffer = Buffer::empty(area);
            let grid = Grid { columns: COLUMNS, sorted: None, rows: 1, selected: None, first: 0, empty: "" };
            let cell = |_, column| match column {
                0 => Cell::new("worker-17[42]"),
                1 => Cell::new(port.to_string()),
                _ => Cell::new("7"),
            };
            grid.draw(&mut buffer, area, Theme::default(), |_| false, cell);
            (0..19).map(|x| buffer[(x, 1)].symbol()).collect::<String>()
        };
        assert_eq!(draw(5000), "work…[42]  5000   7");
        assert_eq!(draw(1_879_048_257), "wor…[42] 1879048257");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(drawn(9, 0, None)[1], "nothing");
    }
}
