//! Lifecycle events: the only thing that goes through the ring buffer.

use aya_ebpf::helpers::generated::{bpf_ringbuf_reserve, bpf_ringbuf_submit};
use hvsock_common::{ConnRecord, Event, EventKind, Outcome};

use crate::{
    fresh,
    maps::{self, EVENTS},
    read,
};

/// Sends a lifecycle event with a copy of `record`.
#[inline(always)]
pub(crate) fn send(kind: EventKind, detail: u32, error: i32, pid: u32, record: *const ConnRecord) -> Outcome {
    if maps::config().events == 0 {
        return Outcome::Recorded;
    }
    let Some(event) = reserve() else { return Outcome::RingFull };
    // SAFETY: the reserved space is a whole event, written field by field before it is submitted.
    unsafe {
        (*event).time_ns = read::now();
        (*event).kind = kind as u32;
        (*event).detail = detail;
        (*event).error = error;
        (*event).pid = pid;
        (*event).reserved = [0; 5];
        (*event).record.seq = (*record).seq;
        fresh::copy_body(&raw mut (*event).record, record);
    }
    submit(event);
    Outcome::Recorded
}

/// Room for one event, to be filled and submitted.
#[inline(always)]
pub(crate) fn reserve() -> Option<*mut Event> {
    // SAFETY: the map is a ring buffer, and the size is a constant, as the verifier wants it.
    let event =
        unsafe { bpf_ringbuf_reserve((&raw const EVENTS).cast_mut().cast(), size_of::<Event>() as u64, 0) };
    (!event.is_null()).then_some(event.cast())
}

/// Hands a filled event to the reader.
#[inline(always)]
pub(crate) fn submit(event: *mut Event) {
    // SAFETY: `event` came from `reserve`; the verifier holds every path to exactly one submission.
    unsafe { bpf_ringbuf_submit(event.cast(), 0) };
}
