//! How long things take: percentiles of each, and the distribution of the selected one.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{above, below, table, waiting};
use crate::{
    model::{Histogram, Snapshot},
    tui::{
        action::View,
        app::App,
        derive, format,
        picture::WINDOW_NS,
        rows,
        theme::Role,
        widgets::{
            bars,
            boxed::section,
            grid::{Cell, Column, Grid},
            line::Line,
        },
        words,
    },
};

const COLUMNS: &[Column] = &[
    Column::text("LATENCY", 16, 20, 0),
    Column::number("COUNT", 6, 0),
    Column::number("P50", 8, 0),
    Column::number("P90", 8, 1),
    Column::number("P99", 8, 0),
    Column::number("P99.9", 8, 1),
    Column::number("MAX", 8, 0),
    Column::number("MEAN", 8, 3),
    Column::text("100 ns · by decade · 10 s", 27, 36, 2),
    Column::text("WHAT IT IS", 30, 72, 4),
];

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let picture = app.picture();
    let Some(snapshot) = picture.snapshot.clone() else { return waiting(app, area, buffer) };
    let names = rows::latencies(&snapshot);
    let histograms: Vec<Option<Histogram>> = names
        .iter()
        .map(|name| {
            if app.recent {
                picture.recent(name).map(|(histogram, _)| histogram)
            } else {
                derive::histogram(&snapshot, name).cloned()
            }
        })
        .collect();
    let at = app.selection().and_then(|key| names.iter().position(|name| *name == key));
    let grid = Grid {
        columns: COLUMNS,
        sorted: None,
        rows: names.len(),
        selected: at,
        first: 0,
        empty: "no latency is measured",
    };
    let span = if app.recent {
        let ns = names.first().and_then(|name| picture.recent(name)).map_or(WINDOW_NS, |(_, ns)| ns);
        format!("the last {}", format::age(ns))
    } else {
        "since the probes were attached".to_owned()
    };
    let inside = section(buffer, area, app.theme, "Latency", &span);
    let chart = inside.height.saturating_sub(names.len() as u16 + 2);
    let chart = if chart >= 4 { chart } else { 0 };
    table(
        app,
        View::Latency,
        above(inside, inside.height - chart),
        buffer,
        grid,
        |row| histograms[row].as_ref().is_none_or(|h| h.count == 0),
        |row, column| cell(names[row], histograms[row].as_ref(), column),
    );
    let chosen = at.or_else(|| names.iter().position(|name| *name == "connect")).unwrap_or(0);
    if let (Some(name), Some(histogram)) = (names.get(chosen), histograms.get(chosen)) {
        distribution(app, name, histogram.as_ref(), below(inside, inside.height - chart), buffer);
    }
}

/// What of it the overview has room for.
const BRIEF: [usize; 5] = [0, 1, 2, 4, 6];

/// Those of which there are any, for the overview.
pub(super) fn brief(app: &App, snapshot: &Snapshot, area: Rect, buffer: &mut Buffer) {
    let measured = |name: &&str| derive::histogram(snapshot, name).is_some_and(|h| h.count > 0);
    let names: Vec<_> = rows::latencies(snapshot).into_iter().filter(measured).collect();
    if names.is_empty() {
        return;
    }
    let inside = section(buffer, area, app.theme, "Latency", "since the probes were attached");
    let grid = Grid {
        columns: &BRIEF.map(|column| COLUMNS[column]),
        sorted: None,
        rows: names.len(),
        selected: None,
        first: 0,
        empty: "",
    };
    let shown =
        |row: usize, column: usize| cell(names[row], derive::histogram(snapshot, names[row]), BRIEF[column]);
    grid.draw(buffer, inside, app.theme, |_| false, shown);
}

fn cell(name: &str, histogram: Option<&Histogram>, column: usize) -> Cell {
    let time = |get: fn(&Histogram) -> Option<u64>| Cell::known(histogram.and_then(get), format::duration);
    match column {
        0 => Cell::new(words::latency(name).0.to_owned()),
        1 => Cell::known(histogram.map(|h| h.count), format::count),
        2 => time(|h| h.p50_ns),
        3 => time(|h| h.p90_ns),
        4 => time(|h| h.p99_ns),
        5 => time(|h| h.p999_ns),
        6 => time(|h| h.max_ns),
        7 => time(|h| h.sum_ns.checked_div(h.count)),
        8 => histogram
            .map_or_else(|| Cell::with(format::UNKNOWN, Role::Dim), |h| Cell::with(heat(h), Role::Accent)),
        _ => Cell::with(words::latency(name).1, Role::Dim),
    }
}

/// Columns of a heat strip in each decade.
const PER_DECADE: usize = 3;
/// From 100 ns to 10 s, and all beyond.
const DECADES: usize = 8;

/// Which column of the heat strip a time belongs to.
fn column_of(ns: u64) -> usize {
    let decade = (ns.max(1) as f64).log10() - 2.0;
    ((decade * PER_DECADE as f64).max(0.0) as usize).min(DECADES * PER_DECADE)
}

/// A strip of shades: how much of all lies where.
fn heat(histogram: &Histogram) -> String {
    let mut parts = [0_u64; DECADES * PER_DECADE + 1];
    for (upper, n) in &histogram.buckets {
        parts[column_of(*upper)] += n;
    }
    let all = histogram.count.max(1) as f64;
    parts.iter().map(|n| bars::shade(*n as f64 / all)).collect()
}

/// The distribution as columns: each a third of an octave or so, as many as there is room for.
fn distribution(app: &App, name: &str, histogram: Option<&Histogram>, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    if area.height < 4 {
        return;
    }
    let (title, what) = words::latency(name);
    let inside = section(buffer, area, theme, title, what);
    let Some(histogram) = histogram.filter(|h| !h.buckets.is_empty()) else {
        if let Some(mut line) = Line::of(buffer, inside, 0) {
            let text = if histogram.is_some() { "nothing yet" } else { "not measured" };
            line.put(text, theme.style(Role::Dim));
        }
        return;
    };
    let log = |ns: u64| (ns.max(1) as f64).log2();
    let first = histogram.buckets.first().map_or(0.0, |(upper, _)| log(*upper).floor() - 1.0);
    let last = histogram.buckets.last().map_or(1.0, |(upper, _)| log(*upper).ceil());
    let wide = usize::from(inside.width.min(160));
    let octaves = (last - first).max(1.0);
    let mut parts = vec![0_u64; wide];
    for (upper, n) in &histogram.buckets {
        let at = ((log(*upper) - first) / octaves * wide as f64) as usize;
        parts[at.min(wide - 1)] += n;
    }
    let most = parts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let rows = inside.height - 1;
    for row in 0..rows {
        let Some(mut line) = Line::of(buffer, inside, rows - 1 - row) else { break };
        let text: String = parts.iter().map(|n| bars::column(*n as f64 / most, row, rows)).collect();
        line.put(text, theme.style(Role::Accent));
    }
    // A mark under each percentile would lie over another: the axis is told at its ends and in its middle.
    if let Some(mut line) = Line::of(buffer, inside, rows) {
        let at = |share: f64| format::duration((first + octaves * share).exp2() as u64);
        let dim = theme.style(Role::Dim);
        let (x, _) = line.at();
        line.put(at(0.0), dim);
        for quarter in 1..4_u16 {
            let share = f64::from(quarter) / 4.0;
            line.to(x + (wide as f64 * share) as u16).put(at(share), dim);
        }
        let end = at(1.0);
        line.to(x + (wide as u16).saturating_sub(end.chars().count() as u16)).put(end, dim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_three_columns_each() {
        assert_eq!(column_of(0), 0);
        assert_eq!(column_of(100), 0);
        assert_eq!(column_of(1_000), 3);
        assert_eq!(column_of(10_000_000_000), 24);
        assert_eq!(column_of(u64::MAX), 24);
    }

    #[test]
    fn a_strip_has_its_weight_where_it_belongs() {
        let histogram =
            Histogram { count: 10, buckets: vec![(1_000, 9), (u64::MAX, 1)], ..Histogram::default() };
        let strip = heat(&histogram);
        assert_eq!(strip.chars().count(), 25);
        assert_eq!((strip.chars().nth(3), strip.chars().last()), (Some('█'), Some('▒')));
    }
}
