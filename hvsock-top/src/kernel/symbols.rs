//! Which functions this kernel has, and in which module.

use std::{collections::HashMap, fs};

use super::Blind;

/// Names of functions that can be probed, each with its module, if any.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    functions: HashMap<String, Option<String>>,
}

impl Symbols {
    /// Reads `/proc/kallsyms`, keeping only names that `wanted` says yes to. Addresses are not needed, so it works where they are hidden.
    pub fn from_kernel(wanted: impl Fn(&str) -> bool) -> Result<Self, Blind> {
        let path = "/proc/kallsyms";
        let text =
            fs::read_to_string(path).map_err(|e| Blind::Read { path: path.into(), reason: e.to_string() })?;
        Ok(Self::parse(&text, wanted))
    }

    /// Parses text in the format of `/proc/kallsyms`: address, type, name and, in brackets, the module.
    pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let mut functions = HashMap::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(_address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            // Functions are in the text section; weak ones too.
            if !matches!(kind, "t" | "T" | "w" | "W") || !wanted(name) {
                continue;
            }
            let module = words.next().map(|m| m.trim_matches(['[', ']']).to_owned());
            functions.insert(name.to_owned(), module);
        }
        Self { functions }
    }

    /// Whether the kernel has a function of this name.
    pub fn has(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// The module the function is in; `None` when it is in the kernel image or not there.
    pub fn module_of(&self, name: &str) -> Option<&str> {
        self.functions.get(name)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "0000000000000000 t hvs_probe\t[hv_sock]\n\
        0000000000000000 T vmbus_open\t[hv_vmbus]\n\
        0000000000000000 T schedule\n\
        0000000000000000 d hvs_transport\t[hv_sock]\n\
        broken\n";

    #[test]
    fn functions_and_their_modules_are_found() {
        let symbols = Symbols::parse(TEXT, |_| true);
        assert!(symbols.has("hvs_probe"));
        assert_eq!(symbols.module_of("vmbus_open"), Some("hv_vmbus"));
        assert!(symbols.has("schedule"));
        assert_eq!(symbols.module_of("schedule"), None);
        assert!(!symbols.has("hvs_transport"), "data is not a function");
    }

    #[test]
    fn unwanted_names_are_left_out() {
        assert!(!Symbols::parse(TEXT, |name| name.starts_with("hvs_")).has("schedule"));
    }
}
