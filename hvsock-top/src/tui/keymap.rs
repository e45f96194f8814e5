//! Keys, their names, and what they do.

use std::{collections::HashMap, fmt};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::action::{ACTIONS, Action};

/// A key with what is held down with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    code: KeyCode,
    modifiers: KeyModifiers,
}

const NAMES: &[(&str, KeyCode)] = &[
    ("space", KeyCode::Char(' ')),
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

impl Key {
    /// The key of that name: `q`, `G`, `ctrl-c`, `alt-x`, `shift-tab`, `pageup`, `f5`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut modifiers = KeyModifiers::NONE;
        while let Some((prefix, after)) = rest.split_once('-').filter(|(_, after)| !after.is_empty()) {
            modifiers |= match prefix.to_lowercase().as_str() {
                "ctrl" => KeyModifiers::CONTROL,
                "alt" => KeyModifiers::ALT,
                "shift" => KeyModifiers::SHIFT,
                _ => return Err(format!("`{prefix}-` is not ctrl-, alt- or shift-")),
            };
            rest = after;
        }
        let mut chars = rest.chars();
        let code = if let (Some(c), None) = (chars.next(), chars.next()) {
            KeyCode::Char(c)
        } else {
            let name = rest.to_lowercase();
            let number = name.strip_prefix('f').and_then(|n| n.parse().ok());
            let function = number.filter(|n| (1..=24).contains(n)).map(KeyCode::F);
            let named = NAMES.iter().find(|(its, _)| *its == name).map(|(_, code)| *code);
            function
                .or(named)
                .ok_or_else(|| format!("there is no key `{text}`; write q, G, ctrl-c, pageup or f5"))?
        };
        Ok(Self { code, modifiers }.plain())
    }

    /// One way to say it: terminals tell of Shift in letters, and of Shift-Tab, in more than one.
    fn plain(self) -> Self {
        let mut key = self;
        match key.code {
            KeyCode::BackTab => {
                key = Self { code: KeyCode::Tab, modifiers: key.modifiers | KeyModifiers::SHIFT }
            }
            KeyCode::Char(c) => {
                if key.modifiers.contains(KeyModifiers::SHIFT) {
                    key.code = KeyCode::Char(c.to_uppercase().next().unwrap_or(c));
                }
                key.modifiers -= KeyModifiers::SHIFT;
            }
            _ => {}
        }
        key.modifiers &= KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT;
        key
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        Self { code: event.code, modifiers: event.modifiers }.plain()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        match (self.code, NAMES.iter().find(|(_, code)| *code == self.code)) {
            (_, Some((name, _))) => f.write_str(name),
            (KeyCode::Char(c), _) => write!(f, "{c}"),
            (KeyCode::F(n), _) => write!(f, "f{n}"),
            (other, _) => write!(f, "{other:?}"),
        }
    }
}

/// Which key does what.
#[derive(Clone, Debug)]
pub struct Keymap {
    bound: HashMap<Key, Action>,
    /// By action, in the order given.
    keys: Vec<(Action, Vec<Key>)>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = ACTIONS
            .iter()
            .map(|entry| (entry.action, entry.keys.iter().filter_map(|k| Key::parse(k).ok()).collect()))
            .collect();
        Self { bound: HashMap::new(), keys }.indexed()
    }
}

impl Keymap {
    /// Gives an action other keys. Whoever had them before loses them. Leaving must stay possible.
    pub fn bind(&mut self, action: Action, keys: &[Key]) -> Result<(), String> {
        let mut changed = self.keys.clone();
        for (other, its) in &mut changed {
            if *other == action {
                *its = keys.to_vec();
            } else {
                its.retain(|key| !keys.contains(key));
            }
        }
        if changed.iter().any(|(action, its)| *action == Action::Quit && its.is_empty()) {
            return Err("no key would be left to quit with".to_owned());
        }
        self.keys = changed;
        *self = std::mem::take(self).indexed();
        Ok(())
    }

    fn indexed(mut self) -> Self {
        self.bound = self.keys.iter().flat_map(|(a, keys)| keys.iter().map(|k| (*k, *a))).collect();
        self
    }

    /// What a key does.
    pub fn action(&self, key: Key) -> Option<Action> {
        self.bound.get(&key).copied()
    }

    /// The keys of an action.
    pub fn keys(&self, action: Action) -> &[Key] {
        self.keys.iter().find(|(its, _)| *its == action).map_or(&[], |(_, keys)| keys)
    }

    /// The first of them, for a hint; empty where there is none.
    pub fn hint(&self, action: Action) -> String {
        self.keys(action).first().map(ToString::to_string).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_bound_is_one_and_is_bound_once() {
        let mut seen = HashMap::new();
        for entry in ACTIONS {
            for name in entry.keys {
                let key = Key::parse(name).unwrap();
                assert_eq!(key.to_string(), *name);
                assert_eq!(seen.insert(key, entry.name), None, "{name}");
            }
        }
    }

    #[test]
    fn names_of_actions_are_unique() {
        for entry in ACTIONS {
            assert_eq!(Action::named(entry.name), Some(entry.action), "{}", entry.name);
        }
    }

    #[test]
    fn terminals_say_the_same_key_in_several_ways() {
        let event = |code, modifiers| Key::from(KeyEvent::new(code, modifiers));
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::SHIFT), Key::parse("shift-tab").unwrap());
        assert_eq!(event(KeyCode::BackTab, KeyModifiers::NONE), Key::parse("shift-tab").unwrap());
        assert_eq!(event(KeyCode::Char('G'), KeyModifiers::SHIFT), Key::parse("G").unwrap());
        assert_eq!(event(KeyCode::Char('?'), KeyModifiers::SHIFT), Key::parse("?").unwrap());
        assert_eq!(Key::parse("shift-g"), Key::parse("G"));
        assert_eq!(Key::parse("-").map(|k| k.to_string()).as_deref(), Ok("-"));
        assert_eq!(Key::parse("ctrl--").map(|k| k.to_string()).as_deref(), Ok("ctrl--"));
    }

    #[test]
    fn keys_that_are_none_are_refused() {
        for bad in ["", "qq", "super-q", "f0", "f99", "ctrl-pgup"] {
            assert!(Key::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_changes_hands() {
        let mut keymap = Keymap::default();
        let key = Key::parse("j").unwrap();
        keymap.bind(Action::Up, &[key]).unwrap();
        assert_eq!(keymap.action(key), Some(Action::Up));
        assert_eq!(keymap.hint(Action::Down), "down");
        assert_eq!(keymap.action(Key::parse("k").unwrap()), None);
        assert!(keymap.bind(Action::Quit, &[]).is_err());
        let both = [Key::parse("q").unwrap(), Key::parse("ctrl-c").unwrap()];
        assert!(keymap.bind(Action::Up, &both).is_err(), "quit must keep a key");
        assert_eq!(keymap.action(Key::parse("q").unwrap()), Some(Action::Quit), "nothing has changed");
    }
}
