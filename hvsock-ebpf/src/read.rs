//! Reading kernel memory: one field at a time, never trusting a pointer.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_kernel};

/// Reads a `T` at `base + offset`. `None` when the memory cannot be read or `base` is null.
#[inline(always)]
pub(crate) fn field<T>(base: u64, offset: u32) -> Option<T> {
    if base == 0 {
        return None;
    }
    // SAFETY: the helper checks the address; a bad one is an error, not a fault.
    unsafe { bpf_probe_read_kernel((base + offset as u64) as *const T) }.ok()
}

/// The current thread's number (the kernel's pid).
#[inline(always)]
pub(crate) fn thread() -> u32 {
    bpf_get_current_pid_tgid() as u32
}

/// Now, in nanoseconds of CLOCK_MONOTONIC.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no preconditions.
    unsafe { bpf_ktime_get_ns() }
}

/// How long ago `then` was. Two CPUs' clocks may differ by a little: never less than nothing.
#[inline(always)]
pub(crate) fn since(then: u64) -> u64 {
    now().saturating_sub(then)
}
