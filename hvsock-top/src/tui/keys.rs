//! What keys and the mouse do in each mode.

use crossterm::event::{
    KeyCode, KeyEvent, KeyEventKind, KeyModifiers, MouseButton, MouseEvent, MouseEventKind,
};

use super::{
    action::{Action, View},
    app::{App, Effect, Hit, Mode},
    columns,
    feed::Control,
    keymap::Key,
    rows,
};

impl App {
    /// A key was pressed.
    pub fn key(&mut self, event: KeyEvent) -> Vec<Effect> {
        if event.kind == KeyEventKind::Release {
            return Vec::new();
        }
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        // Ctrl-C always ends it, whatever else it is bound to.
        if ctrl && event.code == KeyCode::Char('c') {
            return vec![Effect::Quit];
        }
        let action = self.keymap.action(Key::from(event));
        match &mut self.mode {
            Mode::Normal => return action.map(|action| self.apply(action)).unwrap_or_default(),
            Mode::Filter(_) => self.filter_key(event.code, ctrl),
            Mode::Sort(at) => {
                let last = columns::ALL.len();
                match (event.code, action) {
                    (KeyCode::Enter, _) => {
                        let column = at.checked_sub(1);
                        self.mode = Mode::Normal;
                        self.sort_by(column);
                    }
                    (_, Some(Action::Up)) => *at = at.checked_sub(1).unwrap_or(last),
                    (_, Some(Action::Down)) => *at = if *at == last { 0 } else { *at + 1 },
                    (_, Some(Action::First)) => *at = 0,
                    (_, Some(Action::Last)) => *at = last,
                    (_, Some(Action::Reverse)) => self.sort.descending = !self.sort.descending,
                    (_, Some(Action::Quit)) => return vec![Effect::Quit],
                    _ => self.mode = Mode::Normal,
                }
            }
            Mode::Help(top) => match action {
                Some(Action::Up) => *top = top.saturating_sub(1),
                Some(Action::Down) => *top += 1,
                Some(Action::PageUp) => *top = top.saturating_sub(10),
                Some(Action::PageDown) => *top += 10,
                Some(Action::Quit) => return vec![Effect::Quit],
                _ => self.mode = Mode::Normal,
            },
        }
        Vec::new()
    }

    fn filter_key(&mut self, code: KeyCode, ctrl: bool) {
        let Mode::Filter(input) = &mut self.mode else { return };
        match code {
            // One that makes no sense stays to be mended.
            KeyCode::Enter if self.filter.error.is_none() => {
                self.mode = Mode::Normal;
                return;
            }
            KeyCode::Esc => {
                self.mode = Mode::Normal;
                self.set_filter("");
                return;
            }
            KeyCode::Char('u') if ctrl => input.clear(),
            KeyCode::Char('w') if ctrl => input.delete_word(),
            KeyCode::Char('a') if ctrl => input.home(),
            KeyCode::Char('e') if ctrl => input.end(),
            KeyCode::Char(c) if !ctrl => input.insert(c),
            KeyCode::Backspace => input.backspace(),
            KeyCode::Delete => input.delete(),
            KeyCode::Left => input.step(-1),
            KeyCode::Right => input.step(1),
            KeyCode::Home => input.home(),
            KeyCode::End => input.end(),
            _ => {}
        }
        let text = input.text();
        self.set_filter(&text);
    }

    /// Text was pasted.
    pub fn paste(&mut self, text: &str) {
        if let Mode::Filter(input) = &mut self.mode {
            text.chars().for_each(|c| input.insert(c));
            let text = input.text();
            self.set_filter(&text);
        }
    }

    /// The mouse was clicked or its wheel turned.
    pub fn mouse(&mut self, event: MouseEvent) -> Vec<Effect> {
        let by_wheel = match event.kind {
            MouseEventKind::ScrollUp => Some(Action::Up),
            MouseEventKind::ScrollDown => Some(Action::Down),
            _ => None,
        };
        if let Some(action) = by_wheel {
            match &mut self.mode {
                Mode::Help(top) if action == Action::Up => *top = top.saturating_sub(1),
                Mode::Help(top) => *top += 1,
                Mode::Normal => return self.apply(action),
                Mode::Filter(_) | Mode::Sort(_) => {}
            }
            return Vec::new();
        }
        if event.kind != MouseEventKind::Down(MouseButton::Left) {
            return Vec::new();
        }
        if self.mode != Mode::Normal {
            self.mode = Mode::Normal;
            return Vec::new();
        }
        let here = (event.column, event.row);
        let found =
            self.shown.hits.borrow().iter().rev().find(|(place, _)| place.contains(here.into())).copied();
        let Some((place, hit)) = found else { return Vec::new() };
        match hit {
            Hit::View(view) => self.show(view),
            Hit::Sort(column) => self.sort_by(Some(column)),
            Hit::Rows(first) => {
                let row = first + usize::from(event.row - place.y);
                let Some(key) = rows::keys(self, self.view).into_iter().nth(row) else { return Vec::new() };
                // A second click on a row looks closer.
                if self.selection() == Some(&key) {
                    return self.apply(Action::Open);
                }
                self.selected.insert(self.view, key);
            }
            Hit::Timeline => {
                if let Some(position) = &self.position {
                    let share = f64::from(event.column - place.x) / f64::from(place.width.max(2) - 1);
                    let to = (share * position.count.saturating_sub(1) as f64).round() as usize;
                    return vec![Effect::Control(Control::Seek(to))];
                }
            }
        }
        Vec::new()
    }

    /// Whether a view has rows to select.
    pub fn has_rows(view: View) -> bool {
        !matches!(view, View::Overview | View::Detail | View::Lookup)
    }
}
