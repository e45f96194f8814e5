//! The configuration file. What is wrong with it is said with its place, and the rest of it counts.
//!
//! ```toml
//! theme = "dark"           # dark, light, ansi, mono
//! ascii = false            # only signs of ASCII
//! mouse = true
//! interval = "1s"
//! view = "overview"        # the first view
//! filter = "port:5000"     # a filter to begin with
//!
//! [keys]
//! freeze = ["space", "p"]
//! ```

use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;

use super::{
    action::{Action, View},
    keymap::{Key, Keymap},
    query::Query,
    theme::Palette,
};

/// What can be set. `None`: nothing was said.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The colours.
    pub palette: Option<Palette>,
    /// Only signs of ASCII.
    pub ascii: Option<bool>,
    /// Whether to listen to the mouse.
    pub mouse: Option<bool>,
    /// Time between Snapshots of the live kernel.
    pub interval: Option<Duration>,
    /// The first view.
    pub view: Option<View>,
    /// A filter to begin with.
    pub filter: Option<String>,
    /// What keys do.
    pub keymap: Keymap,
}

/// Something wrong with the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// Line, counted from one.
    pub line: usize,
    /// Column in characters, counted from one.
    pub column: usize,
    /// What is wrong.
    pub what: String,
}

impl std::fmt::Display for ConfigError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.what)
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    theme: Option<Palette>,
    ascii: Option<bool>,
    mouse: Option<bool>,
    interval: Option<Spanned<String>>,
    view: Option<Spanned<String>>,
    filter: Option<Spanned<String>>,
    #[serde(default)]
    keys: std::collections::BTreeMap<Spanned<String>, Spanned<toml::Value>>,
}

impl Config {
    /// Reads `text`. A file that is not TOML, or names what there is not, counts for nothing; a value that makes no sense leaves its default.
    /// `interval` tells a time, as on the command line.
    pub fn parse(
        text: &str,
        interval: impl Fn(&str) -> Result<Duration, String>,
    ) -> (Self, Vec<ConfigError>) {
        let error_at = |at: usize, what: String| {
            let before = text.get(..at).unwrap_or(text);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            ConfigError { line, column, what }
        };
        let mut config = Self::default();
        let file: File = match toml::from_str(text) {
            Ok(file) => file,
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                let what = error.message().lines().collect::<Vec<_>>().join(" ");
                return (config, vec![error_at(at, what)]);
            }
        };
        let mut errors = Vec::new();
        config.palette = file.theme;
        config.ascii = file.ascii;
        config.mouse = file.mouse;
        if let Some(text) = file.interval {
            match interval(text.get_ref()) {
                Ok(time) => config.interval = Some(time),
                Err(what) => errors.push(error_at(text.span().start, what)),
            }
        }
        if let Some(name) = file.view {
            match Action::named(name.get_ref()) {
                Some(Action::Show(view)) => config.view = Some(view),
                _ => {
                    errors
                        .push(error_at(name.span().start, format!("there is no view `{}`", name.get_ref())));
                }
            }
        }
        if let Some(filter) = file.filter {
            match Query::parse(filter.get_ref()) {
                Ok(_) => config.filter = Some(filter.into_inner()),
                Err(error) => errors.push(error_at(filter.span().start, format!("filter: {}", error.what))),
            }
        }
        for (name, keys) in file.keys {
            let Some(action) = Action::named(name.get_ref()) else {
                errors.push(error_at(
                    name.span().start,
                    format!("there is no action `{}`; the help (?) lists them", name.get_ref()),
                ));
                continue;
            };
            let place = keys.span().start;
            let keys = match keys.into_inner() {
                toml::Value::Array(keys) => keys,
                key => vec![key],
            };
            let mut parsed = Vec::with_capacity(keys.len());
            for key in keys {
                let text = key.as_str().ok_or_else(|| "a key is written as text, such as \"q\"".to_owned());
                match text.and_then(Key::parse) {
                    Ok(key) => parsed.push(key),
                    Err(what) => errors.push(error_at(place, what)),
                }
            }
            if let Err(what) = config.keymap.bind(action, &parsed) {
                errors.push(error_at(name.span().start, what));
            }
        }
        (config, errors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Config, Vec<String>) {
        let interval = |text: &str| match text {
            "2s" => Ok(Duration::from_secs(2)),
            _ => Err("not a duration".to_owned()),
        };
        let (config, errors) = Config::parse(text, interval);
        (config, errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn all_can_be_set() {
        let (config, errors) = parse(
            "theme = \"light\"\nascii = true\nmouse = false\ninterval = \"2s\"\nview = \"events\"\nfilter = \"port:1\"\n\
             [keys]\nfreeze = [\"p\", \"space\"]\nquit = \"Q\"\n",
        );
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(
            (config.palette, config.ascii, config.mouse),
            (Some(Palette::Light), Some(true), Some(false))
        );
        assert_eq!((config.interval, config.view), (Some(Duration::from_secs(2)), Some(View::Events)));
        assert_eq!(config.keymap.action(Key::parse("Q").unwrap()), Some(Action::Quit));
        assert_eq!(config.keymap.action(Key::parse("q").unwrap()), None);
    }

    #[test]
    fn an_empty_file_sets_nothing() {
        let (config, errors) = parse("# nothing\n");
        assert!(errors.is_empty() && config.palette.is_none());
        assert_eq!(config.keymap.action(Key::parse("q").unwrap()), Some(Action::Quit));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, begin) in [
            ("theme = \"dark\"\ntheem = 1\n", "line 2, column 1: unknown field `theem`"),
            ("theme = \"pink\"", "line 1, column 9: unknown variant `pink`"),
            ("ascii = maybe", "line 1, column 9: "),
            ("\n\ninterval = \"soon\"", "line 3, column 12: not a duration"),
            ("view = \"quit\"", "line 1, column 8: there is no view `quit`"),
            ("filter = \"port:\"", "line 1, column 10: filter: "),
            ("[keys]\nfly = \"f\"", "line 2, column 1: there is no action `fly`"),
            ("[keys]\nup = [\"k\", \"hyper-k\"]", "line 2, column 6: `hyper-` is not"),
            ("[keys]\nup = [7]", "line 2, column 6: a key is written as text"),
            ("[keys]\nquit = []", "line 2, column 1: no key would be left"),
        ] {
            let (_, errors) = parse(text);
            assert_eq!(errors.len(), 1, "{text}: {errors:?}");
            assert!(errors[0].starts_with(begin), "{text}: {errors:?}");
        }
    }

    #[test]
    fn the_rest_counts() {
        let (config, errors) = parse("interval = \"soon\"\nascii = true\n");
        assert_eq!((errors.len(), config.ascii, config.interval), (1, Some(true), None));
    }
}
