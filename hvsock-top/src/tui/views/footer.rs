//! The last line: what was said, the filter, or what keys do.

use ratatui::{buffer::Buffer, layout::Rect, style::Modifier};

use crate::tui::{
    action::{Action, View},
    app::{App, Mode},
    columns::Which,
    theme::Role,
    widgets::line::Line,
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let Some(mut line) = Line::of(buffer, area, 0) else { return };
    if let Mode::Filter(input) = &app.mode {
        let (before, after) = input.halves();
        let error = app.filter.error.as_ref();
        let style = theme.style(if error.is_some() { Role::Bad } else { Role::Accent });
        line.put(" filter: ", theme.style(Role::Title)).put(&before, style);
        let mut rest = after.chars();
        let under = rest.next().unwrap_or(' ');
        line.put(under.to_string(), style.add_modifier(Modifier::REVERSED)).put(rest.as_str(), style).gap(2);
        match error {
            // The place is of use only where something has been written beyond it.
            Some(error) if error.at < app.filter.text.chars().count() => {
                line.put(format!("at {}: {}", error.at + 1, error.what), theme.style(Role::Bad));
            }
            Some(error) => _ = line.put(&error.what, theme.style(Role::Bad)),
            None if app.filter.text.is_empty() => {
                line.put(
                    "port:5000 and stalls>0 · comm=sshd or state:closing · /regex/",
                    theme.style(Role::Dim),
                );
            }
            None => _ = line.put("enter keeps it, esc drops it", theme.style(Role::Dim)),
        }
        return;
    }
    if let Some((what, remedy)) = &app.failed {
        line.put(format!(" {what}: {remedy}"), theme.style(Role::Bad));
        return;
    }
    if let Some((notice, bad)) = &app.notice {
        line.put(format!(" {notice}"), theme.style(if *bad { Role::Bad } else { Role::Accent }));
        return;
    }
    line.right(&standing(app), theme.style(Role::Accent));
    line.put(" ", theme.style(Role::Dim));
    for (action, what) in hints(app) {
        let key = app.keymap.hint(action);
        if !key.is_empty() {
            line.whole(&[
                (&key, theme.style(Role::Accent)),
                (" ", theme.style(Role::Dim)),
                (what, theme.style(Role::Dim)),
                ("  ", theme.style(Role::Dim)),
            ]);
        }
    }
}

/// The filter and the order in force.
fn standing(app: &App) -> String {
    let mut text = String::new();
    if !app.filter.text.is_empty() {
        let filter: String = app.filter.text.chars().take(40).collect();
        text.extend([" filter: ", &filter, " "]);
    }
    if app.view == View::Connections {
        if app.held.is_some() {
            text += " order held ";
        } else {
            let by = app.sort.by.map_or("activity", Which::title);
            text.extend([" by ", by, if app.sort.descending { "▼ " } else { "▲ " }]);
        }
    }
    text
}

fn hints(app: &App) -> Vec<(Action, &'static str)> {
    let mut hints = vec![(Action::Quit, "quit"), (Action::Help, "help")];
    hints.push(match &app.position {
        Some(position) if position.playing => (Action::Freeze, "pause"),
        Some(_) => (Action::Freeze, "play"),
        None if app.frozen.is_some() => (Action::Freeze, "go on"),
        None => (Action::Freeze, "freeze"),
    });
    match app.view {
        View::Connections => hints.extend([
            (Action::Filter, "filter"),
            (Action::SortMenu, "sort"),
            (Action::Open, "closer"),
            (Action::Hold, "hold order"),
        ]),
        View::Listeners | View::Findings | View::Events => {
            hints.extend([(Action::Open, "closer"), (Action::Filter, "filter")]);
        }
        View::Latency => hints.extend([(Action::Window, "since start / 10 s"), (Action::Down, "select")]),
        View::Detail => {
            hints.extend([(Action::Down, "next"), (Action::Up, "before"), (Action::Back, "back")]);
        }
        View::Overview => hints.extend([(Action::Open, "connections")]),
        View::Lookup | View::Probes => {}
    }
    hints.extend([(Action::SaveCsv, "save CSV"), (Action::Faster, "faster"), (Action::Slower, "slower")]);
    hints
}
