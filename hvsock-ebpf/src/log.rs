//! Log lines, shown by `--verbose`; without it the loader sets the level so that the verifier drops them.
//!
//! Functions of their own, called: inlined into a handler, their formatting leaves registers half-defined at merges, which older
//! verifiers reject.

use aya_log_ebpf::debug;

/// A connection was opened.
#[inline(never)]
pub(crate) fn opened(relid: u32, port: u32, ns: u64) -> u64 {
    debug!(&(), "opened relid {} port {} in {} ns", relid, port, ns);
    0
}

/// An open came to nothing.
#[inline(never)]
pub(crate) fn open_failed(relid: u32, port: u32, result: u32) -> u64 {
    debug!(&(), "open failed relid {} port {} result {}", relid, port, result);
    0
}

/// A connection is gone.
#[inline(never)]
pub(crate) fn freed(relid: u32, flags: u32) -> u64 {
    debug!(&(), "freed relid {} flags {:x}", relid, flags);
    0
}
