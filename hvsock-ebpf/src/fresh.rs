//! Records as wholes: a fresh one, and copies.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use hvsock_common::{Callbacks, ConnRecord, OCCUPANCY_STEPS, Phases, Receive, Rings, Send, State, UNKNOWN};

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
        stalled_by: 0,
        pad: 0,
    },
    rx: Receive {
        bytes: 0,
        packets: 0,
        calls: 0,
        waits: 0,
        wait_ns: 0,
        waiting_since: 0,
        waiting_by: 0,
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
};

/// Copies `from` over everything of `to` but its sequence number.
#[inline(always)]
pub(crate) fn copy_body(to: *mut ConnRecord, from: *const ConnRecord) {
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
