//! What the kernel holds of BPF: programs, maps, links.

use std::collections::BTreeSet;
use std::io;

use anyhow::{Context as _, Result};

/// `BPF_PROG_GET_NEXT_ID`, `BPF_MAP_GET_NEXT_ID` and `BPF_LINK_GET_NEXT_ID` of bpf(2).
const KINDS: [(&str, libc::c_int); 3] = [("program", 11), ("map", 12), ("link", 31)];

/// The part of `union bpf_attr` that these commands use.
#[repr(C)]
struct NextId {
    start: u32,
    next: u32,
    open_flags: u32,
}

/// Everything, each with its kind and its id.
pub(crate) fn objects() -> Result<BTreeSet<(&'static str, u32)>> {
    let mut all = BTreeSet::new();
    for (kind, command) in KINDS {
        let mut attr = NextId { start: 0, next: 0, open_flags: 0 };
        loop {
            // SAFETY: the pointer and the size are those of an initialised value that outlives the call.
            let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attr, size_of::<NextId>()) };
            if result != 0 {
                let error = io::Error::last_os_error();
                if error.raw_os_error() == Some(libc::ENOENT) {
                    break;
                }
                return Err(error).with_context(|| format!("cannot list the kernel's BPF {kind}s"));
            }
            all.insert((kind, attr.next));
            attr.start = attr.next;
        }
    }
    Ok(all)
}
