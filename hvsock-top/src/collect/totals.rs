//! Sums over connections, the live and those that are gone: of all, and of each port.

use hvsock_common::{ClosedTotals, ConnRecord, Hook};

use super::together::{STALL, WAIT};
use crate::model::Traffic;

macro_rules! add_fields {
    ($to:expr, $from:expr, $($field:ident),+) => {{
        // Says which fields there are, so that none is forgotten.
        let ClosedTotals { $($field),+ } = $from;
        $($to.$field += $field;)+
    }};
}

/// Adds one sum to another.
pub(super) fn add(to: &mut ClosedTotals, from: &ClosedTotals) {
    add_fields!(
        to,
        from,
        connections,
        tx_bytes,
        tx_packets,
        rx_bytes,
        rx_packets,
        callbacks,
        stalls,
        stall_ns,
        eagain,
        short_writes,
        failed_writes,
        ring_invalid,
        wait_ns
    );
}

/// What a live connection would add to the sums if it ended now; it is none of those that are gone.
pub(super) fn so_far(record: &ConnRecord) -> ClosedTotals {
    ClosedTotals {
        connections: 0,
        tx_bytes: record.tx.bytes,
        tx_packets: record.tx.packets,
        rx_bytes: record.rx.bytes,
        rx_packets: record.rx.packets,
        callbacks: record.callbacks.count,
        stalls: record.tx.stalls,
        stall_ns: record.tx.stall_ns,
        eagain: record.tx.eagain,
        short_writes: record.tx.short_writes,
        failed_writes: record.tx.failed_writes,
        ring_invalid: u64::from(record.tx.invalid) + u64::from(record.callbacks.invalid),
        wait_ns: record.rx.wait_ns,
    }
}

/// What a sum says, as far as the events it is made of are seen.
pub(super) fn traffic(sum: &ClosedTotals, sees: &impl Fn(Hook) -> bool) -> Traffic {
    let of = |hooks: &[Hook], value: u64| hooks.iter().all(|hook| sees(*hook)).then_some(value);
    Traffic {
        tx_bytes: of(&[Hook::Enqueue], sum.tx_bytes),
        rx_bytes: of(&[Hook::Dequeue], sum.rx_bytes),
        tx_packets: of(&[Hook::RingWrite], sum.tx_packets),
        rx_packets: of(&[Hook::Dequeue], sum.rx_packets),
        callbacks: of(&[Hook::Callback], sum.callbacks),
        stalls: of(STALL, sum.stalls),
        stall_ns: of(STALL, sum.stall_ns),
        eagain: of(&[Hook::SendBlock, Hook::SendEnd], sum.eagain),
        short_writes: of(&[Hook::Enqueue], sum.short_writes),
        failed_writes: of(&[Hook::RingWrite], sum.failed_writes),
        ring_invalid: of(&[Hook::RingWrite, Hook::Callback], sum.ring_invalid),
        wait_ns: of(WAIT, sum.wait_ns),
    }
}
