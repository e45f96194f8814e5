//! The inventory: an iterator over all open files, which finds what was there before the probes.
//!
//! It walks the files that the processes of our own PID namespace have open; the kernel has it since 5.8.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::{AsFd as _, OwnedFd},
};

use aya_obj::generated::bpf_attach_type;
use hvsock_common::Hook;

use super::{How, Loaded, TypeInfo, Verdict, sys, trampoline::Trampolines};

/// Name of its program in the object.
const PROGRAM: &str = "it_inventory";

/// A program that the kernel runs for every open file, when asked to.
pub(super) struct Iterator {
    link: OwnedFd,
    _program: OwnedFd,
}

impl Iterator {
    /// Loads and attaches the program to the iterator's function, which lies in the kernel image.
    pub(super) fn attach(
        trampolines: &Trampolines,
        function: &str,
        types: &TypeInfo,
    ) -> Result<Self, String> {
        let function = types
            .function(None, function)
            .ok_or_else(|| format!("the kernel image has no BTF for {function} (it came with 5.8)"))?;
        let target = sys::Target { kind: bpf_attach_type::BPF_TRACE_ITER, module: None, function };
        let program = sys::load_tracing(PROGRAM, trampolines.code(PROGRAM)?, &target)
            .map_err(|(e, log)| format!("{PROGRAM} does not load: {e} {log}").trim_end().to_owned())?;
        let link =
            sys::link_iterator(program.as_fd()).map_err(|e| format!("{PROGRAM} does not attach: {e}"))?;
        Ok(Self { link, _program: program })
    }

    /// Walks all files once.
    fn walk(&self) -> io::Result<()> {
        let mut run = File::from(sys::open_iterator(self.link.as_fd())?);
        // The program writes nothing, so the first end of file is the end of the walk. EAGAIN: a million files without output, or the
        // program wants to see the same file once more, which it does only after it has found something new there.
        let mut buffer = [0; 64];
        loop {
            match run.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
                Err(e) => return Err(e),
            }
        }
    }
}

impl Loaded {
    /// Takes the inventory, if it can be taken. A failure is told once, in the probe's verdict, and ends it.
    pub fn take_inventory(&mut self) {
        let Some(iterator) = &self.iterator else { return };
        if let Err(error) = iterator.walk() {
            self.iterator = None;
            if let Some(verdict) = self.inventory_verdict() {
                verdict.how = How::Failed;
                verdict.reason = Some(format!("walking the open files failed: {error}"));
            }
        }
    }

    /// Whether this thread may take the inventory, where there is one.
    pub fn may_take_inventory(&self) -> io::Result<()> {
        self.iterator.as_ref().map_or(Ok(()), |iterator| sys::open_iterator(iterator.link.as_fd()).map(drop))
    }

    /// Whether there is an inventory.
    pub fn has_inventory(&self) -> bool {
        self.iterator.is_some()
    }

    fn inventory_verdict(&mut self) -> Option<&mut Verdict> {
        self.verdicts.iter_mut().find(|v| v.hook == Hook::Inventory)
    }
}
