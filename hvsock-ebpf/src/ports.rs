//! What happened at each port.

use hvsock_common::{
    CONNECT_RESULTS, ClosedTotals, ConnRecord, ConnectResult, Direction, OPEN_RESULTS, OpenResult, Opening,
    PortKey, PortRecord,
};

use crate::{atomic, maps::PORTS};

/// The record of a port, made if need be.
#[inline(always)]
fn port(port: u32, direction: u32) -> Option<*mut PortRecord> {
    let key = PortKey { port, direction };
    if let Some(record) = PORTS.get_ptr_mut(key) {
        return Some(record);
    }
    // Another CPU may be first; its record is as good as ours.
    #[expect(
        clippy::needless_borrows_for_generic_args,
        reason = "by value it would be copied to the program's stack"
    )]
    let _ = PORTS.insert(key, &NEW_PORT, 1);
    PORTS.get_ptr_mut(key)
}

/// Too large for a program's stack.
static NEW_PORT: PortRecord = PortRecord {
    opens: [0; OPEN_RESULTS.len()],
    connects: [0; CONNECT_RESULTS.len()],
    accepted: 0,
    never_accepted: 0,
    max_ack_backlog: 0,
    ack_backlog: 0,
    peak_ack_backlog: 0,
    pad: 0,
    sk: 0,
    closed: NOTHING,
};

const NOTHING: ClosedTotals = ClosedTotals {
    connections: 0,
    tx_bytes: 0,
    tx_packets: 0,
    rx_bytes: 0,
    rx_packets: 0,
    callbacks: 0,
    stalls: 0,
    stall_ns: 0,
    eagain: 0,
    short_writes: 0,
    failed_writes: 0,
    ring_invalid: 0,
    wait_ns: 0,
};

/// Counts what became of an offer, the number of an [`OpenResult`]; `false` when the table has no room for its port.
#[inline(always)]
pub(crate) fn offer(opening: &Opening, result: u32) -> bool {
    let from_host = opening.direction == Direction::FromHost as u32;
    let number = if from_host { opening.local_port } else { opening.remote_port };
    if result == OpenResult::NotVsock as u32 {
        return true;
    }
    let Some(record) = port(number, opening.direction) else { return false };
    // SAFETY: a map value; opens run one at a time in hv_pri_chan's worker, yet nothing in the kernel promises it for ever.
    unsafe {
        atomic::add((&raw mut (*record).opens).cast::<u64>().add(result as usize), 1);
        if from_host && opening.sk != 0 {
            let now_queued = opening.ack_backlog + u32::from(result == OpenResult::Ok as u32);
            (*record).sk = opening.sk;
            (*record).max_ack_backlog = opening.max_ack_backlog;
            (*record).ack_backlog = now_queued;
            if now_queued > (*record).peak_ack_backlog {
                (*record).peak_ack_backlog = now_queued;
            }
        }
    }
    true
}

/// Counts a guest connect that failed.
#[inline(always)]
pub(crate) fn connect(number: u32, result: ConnectResult) -> bool {
    let Some(record) = port(number, Direction::ToHost as u32) else { return false };
    // SAFETY: a map value; the index is bounded by the enum.
    unsafe { atomic::add((&raw mut (*record).connects).cast::<u64>().add(result as usize), 1) };
    true
}

/// Counts an accepted connection.
#[inline(always)]
pub(crate) fn accepted(number: u32, direction: u32) -> bool {
    let Some(record) = port(number, direction) else { return false };
    // SAFETY: a map value.
    unsafe { atomic::add(&raw mut (*record).accepted, 1) };
    true
}

/// Counts a connection that nobody accepted.
#[inline(always)]
pub(crate) fn never_accepted(number: u32, direction: u32) -> bool {
    let Some(record) = port(number, direction) else { return false };
    // SAFETY: a map value.
    unsafe { atomic::add(&raw mut (*record).never_accepted, 1) };
    true
}

/// Adds a connection that is gone to the sums of its port; `false` when the table has no room for it.
#[inline(always)]
pub(crate) fn ended(slot: *mut ConnRecord) -> bool {
    // SAFETY: map values; the slot is not written any more.
    unsafe {
        let direction = (*slot).direction;
        let from_host = direction == Direction::FromHost as u32;
        let number = if from_host { (*slot).local_port } else { (*slot).remote_port };
        let Some(record) = port(number, direction) else { return false };
        let sums = &raw mut (*record).closed;
        let (tx, rx, callbacks) =
            (&raw const (*slot).tx, &raw const (*slot).rx, &raw const (*slot).callbacks);
        atomic::add(&raw mut (*sums).connections, 1);
        atomic::add(&raw mut (*sums).tx_bytes, (*tx).bytes);
        atomic::add(&raw mut (*sums).tx_packets, (*tx).packets);
        atomic::add(&raw mut (*sums).rx_bytes, (*rx).bytes);
        atomic::add(&raw mut (*sums).rx_packets, (*rx).packets);
        atomic::add(&raw mut (*sums).callbacks, (*callbacks).count);
        atomic::add(&raw mut (*sums).stalls, (*tx).stalls);
        atomic::add(&raw mut (*sums).stall_ns, (*tx).stall_ns);
        atomic::add(&raw mut (*sums).eagain, (*tx).eagain);
        atomic::add(&raw mut (*sums).short_writes, (*tx).short_writes);
        atomic::add(&raw mut (*sums).failed_writes, (*tx).failed_writes);
        atomic::add(&raw mut (*sums).ring_invalid, ((*tx).invalid + (*callbacks).invalid) as u64);
        atomic::add(&raw mut (*sums).wait_ns, (*rx).wait_ns);
    }
    true
}
