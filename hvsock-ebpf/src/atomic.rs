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
    // SAFETY: callers pass pointers into map values, which are aligned and live as long as the program.
    let is_set = unsafe { flags.read_volatile() } & bit != 0;
    #[cfg(target_arch = "bpf")]
    if !is_set {
        // SAFETY: as above.
        unsafe {
            let _ = core::intrinsics::atomic_xadd::<u32, u32, { core::intrinsics::AtomicOrdering::Relaxed }>(
                flags, bit,
            );
        }
    }
    #[cfg(not(target_arch = "bpf"))]
    {
        let _ = is_set;
    }
}
