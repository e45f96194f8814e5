//! Atomic addition, for the few cold counters that several CPUs share.

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
