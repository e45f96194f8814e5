//! Reading kernel memory: one field at a time, never trusting a pointer.

use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, bpf_probe_read_kernel, generated};

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

/// Reads a `T` of plain numbers; zeros when the memory cannot be read.
#[inline(always)]
pub(crate) fn or_zero<T>(address: u64) -> T {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper checks the address and fills what it is given, with zeros if the address is bad; callers ask for plain numbers.
    unsafe {
        generated::bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        );
        value.assume_init()
    }
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
