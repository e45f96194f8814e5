//! Colours and signs. Views name roles; a theme says how a role looks.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ordinary text.
    Text,
    /// Labels, what is gone, what is unknown.
    Dim,
    /// The header's bar.
    Header,
    /// Titles of boxes and columns.
    Title,
    /// What is chosen, names of keys.
    Accent,
    /// All is well.
    Good,
    /// Look at this.
    Warn,
    /// This is wrong.
    Bad,
    /// The selected row.
    Selected,
    /// Lines around boxes.
    Line,
    /// What the guest sends.
    Tx,
    /// What the guest receives.
    Rx,
}

/// The themes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Palette {
    /// For a dark background, 256 colours.
    #[default]
    Dark,
    /// For a light background, 256 colours.
    Light,
    /// The terminal's own sixteen colours.
    Ansi,
    /// No colours: bold, reversed, dimmed.
    Mono,
}

/// How things look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Theme {
    /// The colours.
    pub palette: Palette,
    /// Only signs of ASCII.
    pub ascii: bool,
}

/// What the environment says of the terminal.
#[derive(Clone, Debug, Default)]
pub struct Terminal {
    /// `TERM`.
    pub term: Option<String>,
    /// `COLORTERM` is set.
    pub colorterm: bool,
    /// `NO_COLOR` is set to something.
    pub no_color: bool,
    /// The locale's name for characters: the first set of `LC_ALL`, `LC_CTYPE`, `LANG`.
    pub locale: Option<String>,
    /// `COLORFGBG`, where the terminal sets it: the background's number comes last.
    pub colorfgbg: Option<String>,
}

impl Terminal {
    /// Of this process.
    pub fn from_env() -> Self {
        let var = |name: &str| std::env::var(name).ok().filter(|v| !v.is_empty());
        Self {
            term: var("TERM"),
            colorterm: var("COLORTERM").is_some(),
            no_color: var("NO_COLOR").is_some(),
            locale: var("LC_ALL").or_else(|| var("LC_CTYPE")).or_else(|| var("LANG")),
            colorfgbg: var("COLORFGBG"),
        }
    }

    /// The theme that suits it, as far as nothing else is asked for. `NO_COLOR` goes before what is asked for.
    pub fn theme(&self, palette: Option<Palette>, ascii: Option<bool>) -> Theme {
        let term = self.term.as_deref().unwrap_or("dumb");
        let light = self
            .colorfgbg
            .as_deref()
            .and_then(|text| text.rsplit(';').next()?.parse::<u8>().ok())
            .is_some_and(|n| n == 7 || n == 15);
        let suits = if matches!(term, "dumb" | "vt100" | "vt102" | "vt220") {
            Palette::Mono
        } else if !(self.colorterm || term.contains("256color") || term.contains("direct")) {
            Palette::Ansi
        } else if light {
            Palette::Light
        } else {
            Palette::Dark
        };
        // The console of Linux has a font of 256 or 512 signs; curves are not among them. A locale that is not set says nothing.
        let plain = term == "linux"
            || matches!(term, "dumb" | "vt100" | "vt102" | "vt220")
            || self.locale.as_deref().is_some_and(|locale| {
                let locale = locale.to_lowercase();
                !(locale.contains("utf-8") || locale.contains("utf8"))
            });
        Theme {
            palette: if self.no_color { Palette::Mono } else { palette.unwrap_or(suits) },
            ascii: ascii.unwrap_or(plain),
        }
    }
}

impl Palette {
    /// The next one, for the key that tries them.
    #[must_use]
    pub fn next(self) -> Self {
        match self {
            Self::Dark => Self::Light,
            Self::Light => Self::Ansi,
            Self::Ansi => Self::Mono,
            Self::Mono => Self::Dark,
        }
    }

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dark => "dark",
            Self::Light => "light",
            Self::Ansi => "ansi",
            Self::Mono => "mono",
        }
    }
}

impl Theme {
    /// How a role looks.
    pub fn style(self, role: Role) -> Style {
        let plain = Style::new();
        match self.palette {
            Palette::Mono => match role {
                Role::Text | Role::Good | Role::Tx | Role::Rx => plain,
                Role::Dim | Role::Line => plain.add_modifier(Modifier::DIM),
                Role::Title | Role::Accent | Role::Warn => plain.add_modifier(Modifier::BOLD),
                Role::Bad => plain.add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
                Role::Header | Role::Selected => plain.add_modifier(Modifier::REVERSED),
            },
            Palette::Ansi => match role {
                Role::Text => plain,
                Role::Dim | Role::Line => plain.fg(Color::DarkGray),
                Role::Header => plain.fg(Color::White).bg(Color::Blue),
                Role::Title => plain.add_modifier(Modifier::BOLD),
                Role::Accent | Role::Tx => plain.fg(Color::Cyan),
                Role::Good => plain.fg(Color::Green),
                Role::Warn => plain.fg(Color::Yellow),
                Role::Bad => plain.fg(Color::LightRed).add_modifier(Modifier::BOLD),
                Role::Selected => plain.add_modifier(Modifier::REVERSED),
                Role::Rx => plain.fg(Color::Magenta),
            },
            Palette::Dark => Self::indexed(role, [252, 245, 255, 75, 114, 221, 203, 238, 80, 176], [24, 238]),
            Palette::Light => Self::indexed(role, [235, 242, 255, 25, 28, 130, 160, 250, 30, 90], [25, 253]),
        }
    }

    fn indexed(role: Role, fg: [u8; 10], bg: [u8; 2]) -> Style {
        let [text, dim, header, accent, good, warn, bad, line, tx, rx] = fg.map(Color::Indexed);
        let [header_bg, selected_bg] = bg.map(Color::Indexed);
        let plain = Style::new();
        match role {
            // The terminal's own colour, so that whatever it shows beneath stays readable.
            Role::Text => plain,
            Role::Dim => plain.fg(dim),
            Role::Header => plain.fg(header).bg(header_bg),
            Role::Title => plain.fg(text).add_modifier(Modifier::BOLD),
            Role::Accent => plain.fg(accent),
            Role::Good => plain.fg(good),
            Role::Warn => plain.fg(warn),
            Role::Bad => plain.fg(bad).add_modifier(Modifier::BOLD),
            Role::Selected => plain.bg(selected_bg).add_modifier(Modifier::BOLD),
            Role::Line => plain.fg(line),
            Role::Tx => plain.fg(tx),
            Role::Rx => plain.fg(rx),
        }
    }

    /// Puts signs of ASCII in place of all others, if that is asked for.
    pub fn finish(self, buffer: &mut Buffer) {
        if !self.ascii {
            return;
        }
        for cell in &mut buffer.content {
            if !cell.symbol().is_ascii() {
                let sign = plain(cell.symbol());
                cell.set_symbol(sign);
            }
        }
    }
}

/// Signs that are used, by what stands for them in ASCII.
const PLAIN: &[(&str, &str)] = &[
    ("-", "–—─━┄▃▍‖"),
    ("|", "│┃┆"),
    ("+", "┌┐└┘├┤┬┴┼╭╮╰╯▅▋✔"),
    ("~", "…"),
    ("u", "µμ"),
    (".", "▁░▏·"),
    (":", "▂▎"),
    ("=", "▄▒▌"),
    ("*", "▆▊"),
    ("%", "▇▓▉"),
    ("#", "█"),
    (">", "▶→›≥"),
    ("<", "◀←‹"),
    ("^", "▲↑"),
    ("v", "▼↓"),
    ("o", "●•"),
    ("x", "✘×"),
    ("!", "⚠"),
];

/// One sign of ASCII for another.
fn plain(symbol: &str) -> &'static str {
    let Some(sign) = symbol.chars().next() else { return " " };
    PLAIN.iter().find(|(_, signs)| signs.contains(sign)).map_or("?", |(plain, _)| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All roles.
    const ROLES: [Role; 12] = [
        Role::Text,
        Role::Dim,
        Role::Header,
        Role::Title,
        Role::Accent,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Selected,
        Role::Line,
        Role::Tx,
        Role::Rx,
    ];

    fn terminal(term: &str) -> Terminal {
        Terminal { term: Some(term.to_owned()), ..Terminal::default() }
    }

    #[test]
    fn the_theme_suits_the_terminal() {
        let of = |terminal: &Terminal| terminal.theme(None, None);
        assert_eq!(of(&terminal("xterm-256color")), Theme { palette: Palette::Dark, ascii: false });
        assert_eq!(of(&terminal("xterm")), Theme { palette: Palette::Ansi, ascii: false });
        assert_eq!(of(&terminal("linux")), Theme { palette: Palette::Ansi, ascii: true });
        assert_eq!(of(&Terminal::default()), Theme { palette: Palette::Mono, ascii: true });
        let light = Terminal { colorfgbg: Some("0;15".into()), ..terminal("xterm-256color") };
        assert_eq!(of(&light).palette, Palette::Light);
        let posix = Terminal { locale: Some("C".into()), ..terminal("xterm-256color") };
        assert!(of(&posix).ascii);
        assert!(!posix.theme(None, Some(false)).ascii);
    }

    #[test]
    fn no_color_goes_before_what_is_asked_for() {
        let quiet = Terminal { no_color: true, ..terminal("xterm-256color") };
        assert_eq!(quiet.theme(Some(Palette::Dark), None).palette, Palette::Mono);
        for role in ROLES {
            let style = Theme { palette: Palette::Mono, ascii: false }.style(role);
            assert_eq!((style.fg, style.bg), (None, None), "{role:?}");
        }
    }

    #[test]
    fn ansi_uses_no_more_than_sixteen_colours() {
        for role in ROLES {
            let style = Theme { palette: Palette::Ansi, ascii: false }.style(role);
            let plain = |c: Option<Color>| !matches!(c, Some(Color::Indexed(_) | Color::Rgb(..)));
            assert!(plain(style.fg) && plain(style.bg), "{role:?}");
        }
    }
}
