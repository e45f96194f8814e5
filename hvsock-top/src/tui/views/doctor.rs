//! Why nothing can be watched here, and what to do about it.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{below, paragraph};
use crate::{
    model::{
        ProbeState,
        doctor::{Doctor, Severity, Verdict},
    },
    tui::{
        action::Action,
        app::App,
        theme::Role,
        widgets::{boxed::section, line::Line},
        words,
    },
};

pub(super) fn draw(app: &App, report: &Doctor, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    buffer.set_style(Rect { height: 1, ..area }, theme.style(Role::Header));
    if let Some(mut line) = Line::of(buffer, area, 0) {
        let kernel = report.kernel.as_deref().unwrap_or("–");
        line.put(format!(" hvsock-top   Linux {kernel}"), theme.style(Role::Header));
    }
    let mut rest = below(area, 2);
    rest.height = rest.height.saturating_sub(2);
    let words = match report.verdict {
        Verdict::Blind => {
            "✘ This kernel cannot be watched as things are: what hvsock-top does not show may well exist."
        }
        Verdict::Degraded => "⚠ Some of it cannot be watched.",
        Verdict::Fine => "✔ Everything could be watched a moment ago. Try again.",
    };
    let used = paragraph(buffer, rest, theme, Role::Bad, words);
    rest = below(rest, used + 1);
    if let Some((what, remedy)) = &app.failed {
        let used = paragraph(buffer, rest, theme, Role::Text, &format!("{what}."));
        rest = below(rest, used);
        let used = paragraph(buffer, rest, theme, Role::Text, &format!("To do: {remedy}."));
        rest = below(rest, used + 1);
    }
    let inside =
        section(buffer, rest, theme, "What doctor found", &format!("{} problems", report.problems.len()));
    rest = inside;
    for problem in &report.problems {
        let (sign, role) = match problem.severity {
            Severity::Blind => ("✘", Role::Bad),
            Severity::Degraded => ("⚠", Role::Warn),
            Severity::Note => ("·", Role::Dim),
        };
        let used = paragraph(buffer, rest, theme, role, &format!("{sign} {}", problem.what));
        rest = below(rest, used);
        let used = paragraph(buffer, rest, theme, Role::Text, &format!("→ {}", problem.fix));
        rest = below(rest, used);
        if let (Some(command), Some(mut line)) = (&problem.command, Line::of(buffer, rest, 0)) {
            line.put(format!("  {command}"), theme.style(Role::Accent));
            rest = below(rest, 1);
        }
    }
    if rest.height > 3 {
        let modules: Vec<_> = report
            .modules
            .iter()
            .map(|m| format!("{} {}", m.name, m.presence.map_or("–", words::hv_sock)))
            .collect();
        let active = report.probes.iter().filter(|p| p.state == ProbeState::Active).count();
        let text = format!("{}; {active} of {} probes work", modules.join(", "), report.probes.len());
        paragraph(buffer, below(rest, 1), theme, Role::Dim, &text);
    }
    if let Some(mut line) = Line::of(buffer, area, area.height - 1) {
        let key = app.keymap.hint(Action::Quit);
        line.put(format!(" {key}"), theme.style(Role::Accent));
        line.put(" quit   `hvsock-top doctor` prints all of it", theme.style(Role::Dim));
    }
}
