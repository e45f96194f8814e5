//! Which BPF programs the kernel holds.

use std::collections::BTreeSet;
use std::io;

use anyhow::{Context as _, Result};

/// `BPF_PROG_GET_NEXT_ID` of bpf(2).
const PROG_GET_NEXT_ID: libc::c_int = 11;

/// The part of `union bpf_attr` that this command uses.
#[repr(C)]
struct NextId {
    start: u32,
    next: u32,
    open_flags: u32,
}

/// The ids of all programs.
pub(crate) fn programs() -> Result<BTreeSet<u32>> {
    let mut ids = BTreeSet::new();
    let mut attr = NextId { start: 0, next: 0, open_flags: 0 };
    loop {
        // SAFETY: the pointer and the size are those of an initialised value that outlives the call.
        let result =
            unsafe { libc::syscall(libc::SYS_bpf, PROG_GET_NEXT_ID, &raw mut attr, size_of::<NextId>()) };
        if result != 0 {
            let error = io::Error::last_os_error();
            return if error.raw_os_error() == Some(libc::ENOENT) {
                Ok(ids)
            } else {
                Err(error).context("cannot list the kernel's BPF programs")
            };
        }
        ids.insert(attr.next);
        attr.start = attr.next;
    }
}
