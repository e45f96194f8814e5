//! Atomic addition, for the few cold counters and flags that several CPUs share.

/// Adds to a shared counter.
#[inline(always)]
pub(crate) fn add(counter: *mut u64, value: u64) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: callers pass pointers into map values, which are aligned and live as long as the program.
    unsafe {
        let _ = core::intrinsics::atomic_xadd::<u64, u64, { core::intrinsics::AtomicOrdering::Relaxed }>(
            counter, value,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = (counter, value);
    }
}

/// Sets a bit of flags that others set bits of at the same time. Only one thread ever sets this bit: it is added, since older kernels
/// cannot do anything else to memory in one step.
#[inline(always)]
pub(crate) fn raise(flags: *mut u32, bit: u32) {
    if !is_set(flags, bit) {
        add_to_flags(flags, bit);
    }
}

/// Clears such a bit.
#[inline(always)]
pub(crate) fn lower(flags: *mut u32, bit: u32) {
    if is_set(flags, bit) {
        add_to_flags(flags, bit.wrapping_neg());
    }
}

#[inline(always)]
fn is_set(flags: *mut u32, bit: u32) -> bool {
    // SAFETY: callers pass pointers into map values, which are aligned and live as long as the program.
    unsafe { flags.read_volatile() & bit != 0 }
}

#[inline(always)]
fn add_to_flags(flags: *mut u32, value: u32) {
    #[cfg(target_arch = "bpf")]
    // SAFETY: as above.
    unsafe {
        let _ = core::intrinsics::atomic_xadd::<u32, u32, { core::intrinsics::AtomicOrdering::Relaxed }>(
            flags, value,
        );
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = (flags, value);
    }
}
