//! From a kernel pointer to the connection's slot.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_ringbuf_reserve, bpf_ringbuf_submit};
use hvsock_common::{
    Callbacks, ConnRecord, Event, EventKind, MAX_RELIDS, OCCUPANCY_STEPS, Opening, Outcome, Phases, Receive,
    Rings, Send, State, UNKNOWN, flag,
};

use crate::{
    maps::{self, EVENTS, SLOTS, at},
    read,
};

/// A slot as it is when a connection takes it.
static FRESH: ConnRecord = ConnRecord {
    seq: 0,
    sk: 0,
    chan: 0,
    state: State::Opening as u32,
    flags: 0,
    relid: 0,
    direction: 0,
    local_port: 0,
    remote_port: 0,
    pid: 0,
    max_ack_backlog: 0,
    comm: [0; 16],
    service: [0; 16],
    instance: [0; 16],
    listener: 0,
    begin_ns: 0,
    opened_ns: UNKNOWN,
    queued_ns: UNKNOWN,
    released_ns: UNKNOWN,
    rescinded_ns: UNKNOWN,
    freed_ns: UNKNOWN,
    rings: Rings { out_header: 0, in_header: 0, out_size: 0, in_size: 0, pages: 0, unread_at_rescind: 0 },
    phases: Phases {
        connect_ns: UNKNOWN,
        offer_to_probe_ns: UNKNOWN,
        lookup_ns: UNKNOWN,
        ring_alloc_ns: UNKNOWN,
        host_open_ns: UNKNOWN,
        other_open_ns: UNKNOWN,
        accept_wait_ns: UNKNOWN,
        first_byte_ns: UNKNOWN,
        close_ns: UNKNOWN,
    },
    tx: Send {
        bytes: 0,
        packets: 0,
        calls: 0,
        short_writes: 0,
        eagain: 0,
        failed_writes: 0,
        stalls: 0,
        stall_ns: 0,
        stalled_since: 0,
        used: 0,
        max_used: 0,
        invalid: 0,
        last_error: 0,
        occupancy: [0; OCCUPANCY_STEPS],
        tight: 0,
    },
    rx: Receive {
        bytes: 0,
        packets: 0,
        calls: 0,
        waits: 0,
        wait_ns: 0,
        waiting_since: 0,
        errors: 0,
        last_error: 0,
    },
    callbacks: Callbacks {
        count: 0,
        run_ns: 0,
        begin_ns: 0,
        interrupt_ns: 0,
        used: 0,
        max_used: 0,
        invalid: 0,
        pad: 0,
        occupancy: [0; OCCUPANCY_STEPS],
        pad2: 0,
    },
    now_out_used: u32::MAX,
    now_in_used: u32::MAX,
    fd: -1,
    owner_pass: 0,
    reserved: [0; 2],
};

/// The slot of a live connection over `chan`; `None` if the channel carries none that we know.
#[inline(always)]
pub(crate) fn of_channel(chan: u64) -> Option<*mut ConnRecord> {
    let relid: u32 = read::field(chan, at!(chan_relid))?;
    let slot = by_relid(relid)?;
    // SAFETY: a map value; see `by_relid`.
    (unsafe { (*slot).chan == chan && (*slot).state != State::Free as u32 }).then_some(slot)
}

/// The slot of a live connection of the socket `vsk`. Follows vsk → hvsock → channel → relid: three reads, no lookup by hash. A socket
/// of another transport leads somewhere else, and fails the comparison.
#[inline(always)]
pub(crate) fn of_socket(vsk: u64) -> Option<*mut ConnRecord> {
    let slot = of_channel(channel_of(vsk)?)?;
    // SAFETY: a map value; see `by_relid`.
    (unsafe { (*slot).sk == vsk }).then_some(slot)
}

/// The channel of an hv_sock socket, if it has one.
#[inline(always)]
pub(crate) fn channel_of(vsk: u64) -> Option<u64> {
    let hvs: u64 = read::field(vsk, at!(vsk_trans))?;
    read::field(hvs, at!(hvs_chan))
}

/// The slot of `relid`, whoever has it.
#[inline(always)]
pub(crate) fn by_relid(relid: u32) -> Option<*mut ConnRecord> {
    if relid as usize >= MAX_RELIDS {
        return None;
    }
    SLOTS.get_ptr_mut(relid)
}

/// Copies `from` over everything of `to` but its sequence number.
#[inline(always)]
fn copy_body(to: *mut ConnRecord, from: *const ConnRecord) {
    const HEAD: u32 = size_of::<u64>() as u32;
    // SAFETY: both are whole records; the helper copies within them.
    unsafe {
        bpf_probe_read_kernel(
            to.cast::<u8>().add(HEAD as usize).cast(),
            size_of::<ConnRecord>() as u32 - HEAD,
            from.cast::<u8>().add(HEAD as usize).cast(),
        );
    }
}

/// Makes `record` one of which nothing is known.
#[inline(always)]
pub(crate) fn blank(record: *mut ConnRecord) {
    copy_body(record, &raw const FRESH);
}

/// Takes the slot of the channel being opened. Nobody else writes it: the relid is ours until the channel is gone.
#[inline(always)]
pub(crate) fn take(opening: &mut Opening, sk: u64) -> Option<*mut ConnRecord> {
    let slot = by_relid(opening.relid)?;
    // SAFETY: a map value; the reader is told by the odd number that the slot is being written.
    unsafe {
        if (*slot).state != State::Free as u32 {
            end_missed(slot);
        }
        let seq = (*slot).seq & !1;
        (&raw mut (*slot).seq).write_volatile(seq + 1);
        copy_body(slot, &raw const FRESH);
        (*slot).sk = sk;
        (*slot).chan = opening.chan;
        (*slot).relid = opening.relid;
        (*slot).direction = opening.direction;
        (*slot).local_port = opening.local_port;
        (*slot).remote_port = opening.remote_port;
        (*slot).max_ack_backlog = opening.max_ack_backlog;
        (*slot).begin_ns = opening.begin_ns;
        if opening.direction == hvsock_common::Direction::FromHost as u32 {
            (*slot).listener = opening.sk;
        }
        set_service(slot, opening.chan);
        (&raw mut (*slot).seq).write_volatile(seq + 2);
    }
    opening.slot_taken = 1;
    Some(slot)
}

/// Retires the connection in the slot, whose end was not seen; its totals would be lost without this.
///
/// # Safety
/// The caller is about to take the slot.
#[inline(always)]
pub(crate) unsafe fn end_missed(slot: *mut ConnRecord) {
    // SAFETY: a map value.
    unsafe {
        (*slot).flags |= flag::END_MISSED;
        crate::close::retire(slot, read::now(), None);
        if let Some(cpu) = maps::cpu() {
            (*cpu).ends_missed += 1;
        }
    }
}

/// Notes which service it is, and which connection.
#[inline(always)]
pub(crate) fn set_service(slot: *mut ConnRecord, chan: u64) {
    // SAFETY: a map value, of which the caller is the only writer now.
    unsafe {
        if let Some(guid) = read::field(chan, at!(chan_if_type)) {
            (*slot).service = guid;
        }
        if let Some(guid) = read::field(chan, at!(chan_if_instance)) {
            (*slot).instance = guid;
        }
    }
}

/// Notes where the rings are and how big; the channel is open by now.
#[inline(always)]
pub(crate) fn set_rings(slot: *mut ConnRecord, chan: u64) {
    // SAFETY: a map value, of which the caller is the only writer now.
    unsafe {
        (*slot).rings.pages = read::field(chan, at!(chan_ring_pages)).unwrap_or(0);
        (*slot).rings.out_size = read::field(chan, at!(chan_out_size)).unwrap_or(0);
        (*slot).rings.in_size = read::field(chan, at!(chan_in_size)).unwrap_or(0);
        (*slot).rings.out_header = read::field(chan, at!(chan_out_header)).unwrap_or(0);
        (*slot).rings.in_header = read::field(chan, at!(chan_in_header)).unwrap_or(0);
    }
}

/// Sends a lifecycle event with a copy of `record`.
#[inline(always)]
pub(crate) fn send_event(
    kind: EventKind,
    detail: u32,
    error: i32,
    pid: u32,
    record: *const ConnRecord,
) -> Outcome {
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
        copy_body(&raw mut (*event).record, record);
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
