//! What keys do and what a filter can ask for, made from the keymap and the fields themselves.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::tui::{
    action::{ACTIONS, Group},
    app::App,
    query::{FIELDS, Kind},
    theme::Role,
    widgets::{
        boxed::popup,
        line::{Line, width},
    },
};

pub(super) fn draw(app: &App, top: usize, area: Rect, buffer: &mut Buffer) {
    let inside = popup(buffer, area, app.theme, "help", (100, area.height));
    let lines = lines(app);
    let room = usize::from(inside.height);
    let top = top.min(lines.len().saturating_sub(room));
    for (text, row) in lines.iter().skip(top).zip(0..inside.height) {
        let Some(mut line) = Line::of(buffer, inside, row) else { return };
        for (piece, role) in text {
            line.put(piece, app.theme.style(*role));
        }
    }
    if lines.len() > room
        && let Some(mut line) = Line::of(buffer, area, area.height - 1)
    {
        let note =
            format!(" {}–{} of {}, up and down scroll ", top + 1, (top + room).min(lines.len()), lines.len());
        let x = inside.right().saturating_sub(width(&note));
        line.to(x).put(note, app.theme.style(Role::Dim));
    }
}

type Text = Vec<(String, Role)>;

fn lines(app: &App) -> Vec<Text> {
    let mut lines = Vec::new();
    for group in Group::ALL {
        lines.push(vec![(group.title().to_owned(), Role::Title)]);
        for entry in ACTIONS.iter().filter(|entry| entry.group == group) {
            let keys: Vec<_> = app.keymap.keys(entry.action).iter().map(ToString::to_string).collect();
            let keys = if keys.is_empty() { "–".to_owned() } else { keys.join(" ") };
            lines.push(vec![
                (format!("  {keys:<14}"), Role::Accent),
                (format!("{:<45}", entry.help), Role::Text),
                (entry.name.to_owned(), Role::Dim),
            ]);
        }
        lines.push(Vec::new());
    }
    lines.push(vec![("Filter".to_owned(), Role::Title)]);
    for (how, what) in [
        ("port:5000 and stalls>0", "conditions side by side must all hold; also or, not, ( )"),
        ("comm:ssh  comm=sshd", "text holds it; text is it; != is not it"),
        ("comm~^ssh  /ssh/", "a regular expression, of one field or of any"),
        ("tx>10KiB  open>5ms", "sizes and times with units"),
        ("pid=-", "what is not known; nothing else is true of it"),
    ] {
        lines.push(vec![(format!("  {how:<26}"), Role::Accent), (what.to_owned(), Role::Text)]);
    }
    let fields: Vec<_> = FIELDS
        .iter()
        .map(|(_, name, _, kind)| match kind {
            Kind::Text => format!("{name}(text)"),
            Kind::Number => (*name).to_owned(),
            Kind::Bytes => format!("{name}(size)"),
            Kind::Time => format!("{name}(time)"),
        })
        .collect();
    for (row, some) in fields.chunks(7).enumerate() {
        let label = if row == 0 { "  fields: " } else { "          " };
        lines.push(vec![(label.to_owned(), Role::Dim), (some.join("  "), Role::Text)]);
    }
    lines.push(Vec::new());
    lines.push(vec![(
        "The names at the right are those for [keys] in the configuration file.".to_owned(),
        Role::Dim,
    )]);
    lines
}
