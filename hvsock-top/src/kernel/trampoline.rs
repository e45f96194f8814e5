//! Trampolines (fentry, fexit) into functions of the kernel image and of modules.
//!
//! aya attaches trampolines to the image only. Here the same object is parsed once more, its programs are linked to the maps that aya
//! made, and loaded with the module's BTF as the place to attach to.

use std::{
    collections::{BTreeMap, HashSet},
    os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
};

use aya::{Ebpf, maps::Map};
use aya_obj::{
    Object,
    generated::{bpf_attach_type, bpf_insn},
};

use hvsock_common::Hook;

use super::{Timing, TypeInfo, sys};

pub(super) use sys::recursion_misses;

/// A program and its attachment; dropping it detaches it.
pub(super) struct Trampoline {
    // Dropped first: the attachment goes before the program.
    _link: OwnedFd,
    program: OwnedFd,
}

impl Trampoline {
    /// The program.
    pub(super) fn program(&self) -> BorrowedFd<'_> {
        self.program.as_fd()
    }
}

/// The object's tracing programs, ready to be loaded.
pub(super) struct Trampolines {
    object: Object,
    modules: BTreeMap<String, OwnedFd>,
}

impl Trampolines {
    /// Parses `object` and links it to the maps of `ebpf`, which was made from the same object.
    pub(super) fn new(object: &[u8], ebpf: &Ebpf) -> Result<Self, String> {
        let mut object = Object::parse(object).map_err(|e| e.to_string())?;
        let maps: Vec<_> = object.maps.iter().map(|(name, map)| (name.clone(), map.clone())).collect();
        let mut linked = Vec::new();
        for (name, map) in &maps {
            let fd = match ebpf.map(name) {
                Some(Map::Array(m) | Map::HashMap(m) | Map::RingBuf(m)) => m.fd().as_fd().as_raw_fd(),
                _ => return Err(format!("the object's map {name} is not to be had")),
            };
            linked.push((name.as_str(), fd, map));
        }
        let text: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(linked.into_iter(), &text).map_err(|e| e.to_string())?;
        object.relocate_calls(&text).map_err(|e| e.to_string())?;
        Ok(Self { object, modules: BTreeMap::new() })
    }

    /// The instructions of a program.
    pub(super) fn code(&self, name: &str) -> Result<&[bpf_insn], String> {
        let program =
            self.object.programs.get(name).ok_or_else(|| format!("the object has no program {name}"))?;
        Ok(&self.object.functions[&program.function_key()].instructions)
    }

    /// Attaches the programs called `names` to `symbol`, or none.
    pub(super) fn attach(
        &mut self,
        hook: Hook,
        names: &[String],
        module: Option<&str>,
        symbol: &str,
        types: &TypeInfo,
        timing: &mut Timing,
    ) -> Result<Vec<Trampoline>, String> {
        let place = module.unwrap_or("the kernel image");
        let function = timing
            .of("functions", || types.function(module, symbol))
            .ok_or_else(|| format!("{place} has no BTF for {symbol}"))?;
        if let Some(wanted) = hook.arguments() {
            // The program would take something else for the result.
            let found = types.arguments(module, function);
            if found != Some(wanted) {
                return Err(format!("{symbol} should have {wanted} arguments and has {}", number(found)));
            }
        }
        if let Some(module) = module
            && !self.modules.contains_key(module)
        {
            let fd = timing
                .of("module BTF", || sys::module_btf(module))
                .map_err(|e| format!("cannot open the BTF of {module}: {e}"))?;
            self.modules.insert(module.to_owned(), fd);
        }
        let mut loaded = Vec::new();
        for name in names {
            let code = self.code(name)?;
            let kind = if name.starts_with("fx_") {
                bpf_attach_type::BPF_TRACE_FEXIT
            } else {
                bpf_attach_type::BPF_TRACE_FENTRY
            };
            let module = module.and_then(|m| self.modules.get(m)).map(AsFd::as_fd);
            let target = sys::Target { kind, module, function };
            let fd = timing
                .of("load", || sys::load_tracing(name, code, &target))
                .map_err(|(e, log)| format!("{name} does not load: {e} {log}").trim_end().to_owned())?;
            loaded.push((name, fd));
        }
        // Attach the return before the entry, as with kprobes.
        loaded
            .into_iter()
            .rev()
            .map(|(name, program)| {
                let link = timing
                    .of("attach", || sys::attach_tracing(program.as_fd()))
                    .map_err(|e| format!("{name} does not attach: {}", told(&e)))?;
                Ok(Trampoline { _link: link, program })
            })
            .collect()
    }
}

/// A number that may be unknown, in words.
fn number(count: Option<usize>) -> String {
    count.map_or_else(|| "an unknown number".to_owned(), |count| count.to_string())
}

/// The error in words. ENOTSUPP is the kernel's own and unknown outside.
fn told(error: &std::io::Error) -> String {
    const ENOTSUPP: i32 = 524;
    match error.raw_os_error() {
        Some(ENOTSUPP) => {
            "this kernel cannot do it here (ENOTSUPP; for one, the function has more than six arguments)"
                .into()
        }
        _ => error.to_string(),
    }
}
