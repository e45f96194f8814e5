//! Which functions this kernel has, and in which module.

use std::{collections::HashMap, fs, io, thread};

use super::{Blind, TypeInfo};

/// Names of functions that can be probed, each with its module, if any.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    functions: HashMap<String, Option<String>>,
    variables: Vec<Variable>,
}

/// A variable, and where it lies.
#[derive(Clone, Debug)]
struct Variable {
    name: String,
    /// `None`: in the kernel image.
    module: Option<String>,
    address: u64,
}

impl Symbols {
    /// The functions of these names that the kernel's types list. They do not list all that there are.
    pub(super) fn of_types<'a>(names: impl Iterator<Item = &'a str>, types: &TypeInfo) -> Self {
        let place = |name: &str| Some((name.to_owned(), types.module_with(name)?.map(str::to_owned)));
        Self { functions: names.filter_map(place).collect(), ..Self::default() }
    }

    /// Reads `/proc/kallsyms`, keeping only names that `wanted` says yes to. Functions need no address, so it works where addresses are hidden.
    pub fn from_kernel(wanted: impl Fn(&str) -> bool) -> Result<Self, Blind> {
        let path = "/proc/kallsyms";
        let text =
            fs::read_to_string(path).map_err(|e| Blind::Read { path: path.into(), reason: e.to_string() })?;
        Ok(Self::parse(&text, wanted))
    }

    /// Parses text in the format of `/proc/kallsyms`: address, type, name and, in brackets, the module.
    pub fn parse(text: &str, wanted: impl Fn(&str) -> bool) -> Self {
        let mut functions = HashMap::new();
        let mut variables = Vec::new();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(address), Some(kind), Some(name)) = (words.next(), words.next(), words.next()) else {
                continue;
            };
            if !wanted(name) {
                continue;
            }
            let module = words.next().map(|m| m.trim_matches(['[', ']']).to_owned());
            if matches!(kind, "b" | "B" | "d" | "D")
                && let Ok(address @ 1..) = u64::from_str_radix(address, 16)
            {
                variables.push(Variable { name: name.to_owned(), module: module.clone(), address });
            }
            // Functions are in the text section; weak ones too.
            if !matches!(kind, "t" | "T" | "w" | "W") {
                continue;
            }
            functions.insert(name.to_owned(), module);
        }
        Self { functions, variables }
    }

    /// Whether the kernel has a function of this name.
    pub fn has(&self, name: &str) -> bool {
        self.functions.contains_key(name)
    }

    /// Where a variable lies; `None` when there is none, or the kernel hides addresses.
    pub fn variable(&self, name: &str) -> Option<u64> {
        self.variables.iter().find(|v| v.name == name).map(|v| v.address)
    }

    /// The same of a variable of this module, whatever others have of that name.
    pub fn variable_of(&self, name: &str, module: &str) -> Option<u64> {
        let own = |v: &&Variable| v.name == name && v.module.as_deref() == Some(module);
        self.variables.iter().find(own).map(|v| v.address)
    }

    /// The module the function is in; `None` when it is in the kernel image or not there.
    pub fn module_of(&self, name: &str) -> Option<&str> {
        self.functions.get(name)?.as_deref()
    }
}

/// A reading of `/proc/kallsyms` that goes on beside other work: the kernel makes up 100,000 lines and more for it.
pub(super) struct Reading(io::Result<thread::JoinHandle<Result<Symbols, Blind>>>);

impl Reading {
    /// Begins to read.
    pub(super) fn begin(wanted: fn(&str) -> bool) -> Self {
        let read = move || Symbols::from_kernel(wanted);
        Self(thread::Builder::new().name("symbols".into()).spawn(read))
    }

    /// What was read, as soon as it is.
    pub(super) fn end(self) -> Result<Symbols, Blind> {
        let failed = |reason: String| Blind::Read { path: "/proc/kallsyms".into(), reason };
        let thread = self.0.map_err(|e| failed(format!("no thread to read it: {e}")))?;
        thread.join().unwrap_or_else(|_| Err(failed("its reader panicked".into())))
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
    fn variables_are_found_where_addresses_are_shown() {
        let text = "ffffffffc0242208 b vmbus_proto_version\t[hv_vmbus]\n0000000000000000 D hidden\n";
        let symbols = Symbols::parse(text, |_| true);
        assert_eq!(symbols.variable("vmbus_proto_version"), Some(0xffff_ffff_c024_2208));
        assert_eq!(symbols.variable("hidden"), None);
        assert!(!symbols.has("vmbus_proto_version"), "a variable is not a function");
    }

    #[test]
    fn variables_of_the_same_name_are_told_apart_by_their_module() {
        let text = "ffffffffc0000010 d bound\t[usb]\nffffffffc0000020 b bound\t[af_hyperv]\nffffffff80000030 d bound\n";
        let symbols = Symbols::parse(text, |_| true);
        assert_eq!(symbols.variable_of("bound", "af_hyperv"), Some(0xffff_ffff_c000_0020));
        assert_eq!(symbols.variable_of("bound", "other"), None);
    }

    #[test]
    fn unwanted_names_are_left_out() {
        assert!(!Symbols::parse(TEXT, |name| name.starts_with("hvs_")).has("schedule"));
    }
}
