//! What is wrong, with evidence and what to do.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{above, below, paragraph, table, waiting};
use crate::{
    model::{Finding, Number, Severity},
    tui::{
        action::View,
        app::App,
        format, rows,
        theme::Role,
        widgets::{
            boxed::section,
            grid::{Cell, Column, Grid},
            line::Line,
        },
        words,
    },
};

const COLUMNS: &[Column] = &[
    Column::text("SEVERITY", 8, 8, 0),
    Column::text("RULE", 16, 28, 1),
    Column::port("PORT", 2),
    Column::text("WHAT", 30, 200, 0),
];

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let Some(snapshot) = app.picture().snapshot.clone() else { return waiting(app, area, buffer) };
    let Some(findings) = rows::findings(&snapshot) else {
        if let Some(mut line) = Line::of(buffer, area, 0) {
            line.put("nobody looked for what is wrong", app.theme.style(Role::Dim));
        }
        return;
    };
    let at = app.selection().and_then(|key| findings.iter().position(|f| rows::finding_key(f) == key));
    let grid = Grid {
        columns: COLUMNS,
        sorted: None,
        rows: findings.len(),
        selected: at.or((!findings.is_empty()).then_some(0)),
        first: 0,
        empty: "nothing is wrong",
    };
    let list = area.height.saturating_sub(12).max(4).min(findings.len() as u16 + 2);
    table(
        app,
        View::Findings,
        above(area, list),
        buffer,
        grid,
        |_| false,
        |row, column| cell(findings[row], column),
    );
    if let Some(finding) = findings.get(at.unwrap_or(0)) {
        evidence(app, finding, below(area, list), buffer);
    }
}

fn cell(finding: &Finding, column: usize) -> Cell {
    let role = role(finding.severity);
    match column {
        0 => Cell::with(words::severity(finding.severity), role),
        1 => Cell::new(finding.rule.clone()),
        2 => finding.port.map_or_else(|| Cell::new(""), |port| Cell::new(port.to_string())),
        _ => Cell::with(finding.summary.clone(), role),
    }
}

fn role(severity: Severity) -> Role {
    match severity {
        Severity::Critical => Role::Bad,
        Severity::Warning => Role::Warn,
        Severity::Info => Role::Text,
    }
}

fn evidence(app: &App, finding: &Finding, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let inside = section(buffer, area, theme, &finding.rule, "enter shows what it is about");
    let used = paragraph(buffer, inside, theme, role(finding.severity), &finding.summary);
    let rest = below(inside, used);
    let used = paragraph(
        buffer,
        rest,
        theme,
        Role::Text,
        &format!("To do: {}.", finding.remedy.trim_end_matches('.')),
    );
    let mut rest = below(rest, used);
    let number = |name: &str, number: Number| match number {
        Number::Whole(n) if name.ends_with("_ns") => format::duration(n),
        Number::Whole(n) if name.ends_with("_bytes") => format::bytes(n),
        Number::Whole(n) => n.to_string(),
        Number::Real(n) => format!("{n:.2}"),
    };
    for (title, numbers) in [("evidence", &finding.evidence), ("thresholds", &finding.thresholds)] {
        if numbers.is_empty() {
            continue;
        }
        let all: Vec<_> = numbers.iter().map(|(name, n)| format!("{name} {}", number(name, *n))).collect();
        let used = paragraph(buffer, rest, theme, Role::Dim, &format!("{title}: {}", all.join(", ")));
        rest = below(rest, used);
    }
    if !finding.connections.is_empty() {
        let text = format!("connections: {}", finding.connections.join(", "));
        let used = paragraph(buffer, rest, theme, Role::Dim, &text);
        rest = below(rest, used);
    }
    paragraph(buffer, rest, theme, Role::Dim, &format!("runbook: docs/findings/{}.md", finding.rule));
}
