//! Every event that a hook sees ends as exactly one outcome, and both are counted, here and nowhere else.

use hvsock_common::{Accounting, ConnRecord, Histogram, Hook, Latency, Outcome, UNKNOWN, bucket_of, flag};

use crate::maps::{self, Cpu};

#[inline(always)]
fn of(cpu: Cpu, hook: Hook) -> *mut Accounting {
    // SAFETY: the pointer is into this CPU's map value, and the index is below the array's length by the enum's definition.
    unsafe { &raw mut (*cpu).accounting[hook as usize] }
}

/// Counts an event that `hook` decided on.
#[inline(always)]
pub(crate) fn decided(cpu: Cpu, hook: Hook, outcome: Outcome) {
    let row = of(cpu, hook);
    // SAFETY: one program per hook writes these fields, and no program runs twice at once on a CPU.
    unsafe {
        (*row).seen += 1;
        match outcome {
            Outcome::Recorded => (*row).recorded += 1,
            Outcome::Filtered => (*row).filtered += 1,
            Outcome::RingFull => (*row).ring_full += 1,
            Outcome::MapFull => (*row).map_full += 1,
            Outcome::Faulted => (*row).faulted += 1,
        }
    }
}

/// Counts the entry of a paired hook.
#[inline(always)]
pub(crate) fn entered(cpu: Cpu, hook: Hook) {
    // SAFETY: as in `decided`; the entry program is this field's only writer.
    unsafe { (*of(cpu, hook)).entered += 1 };
}

/// Counts a return whose entry is not to be found.
#[inline(always)]
pub(crate) fn unpaired(cpu: Cpu, hook: Hook) {
    // SAFETY: as in `decided`; the return program is this field's only writer.
    unsafe { (*of(cpu, hook)).unpaired += 1 };
}

/// Adds a duration of a connection's to a histogram, unless the connection is older than the probes: a wait that was already on when it
/// was found would be told too short, and nobody could tell which. The connection's own sums still count it.
#[inline(always)]
pub(crate) fn latency_of(cpu: Cpu, slot: *const ConnRecord, which: Latency, ns: u64) {
    // SAFETY: callers pass a slot.
    if unsafe { (*slot).flags } & flag::INHERITED == 0 {
        add(cpu, which, ns);
    }
}

/// Adds a duration to a histogram; an unknown one is left out.
#[inline(always)]
pub(crate) fn latency(which: Latency, ns: u64) {
    if let Some(cpu) = maps::cpu() {
        add(cpu, which, ns);
    }
}

#[inline(always)]
fn add(cpu: Cpu, which: Latency, ns: u64) {
    if ns == UNKNOWN {
        return;
    }
    // SAFETY: the histogram lies in this CPU's map value; one hook writes it.
    let histogram: *mut Histogram = unsafe { &raw mut (*cpu).latency[which as usize] };
    // The compiler knows that this is in bounds and would drop the check below; the verifier does not.
    let bucket = core::hint::black_box(bucket_of(ns));
    // SAFETY: as above; `bucket_of` stays below BUCKETS, which the check repeats for the verifier.
    unsafe {
        (*histogram).count += 1;
        (*histogram).sum += ns;
        if !ns > (*histogram).not_min {
            (*histogram).not_min = !ns;
        }
        if ns > (*histogram).max {
            (*histogram).max = ns;
        }
        if bucket < hvsock_common::BUCKETS {
            *(&raw mut (*histogram).buckets).cast::<u64>().add(bucket) += 1;
        }
    }
}
