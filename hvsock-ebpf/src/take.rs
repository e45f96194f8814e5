//! A connection takes its slot.

use hvsock_common::{ConnRecord, Opening, State, flag};

use crate::{
    fresh, maps, read, retire,
    slot::{by_relid, set_service},
};

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
        fresh::blank(slot);
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
        retire::retire(slot, read::now(), None);
        if let Some(cpu) = maps::cpu() {
            (*cpu).ends_missed += 1;
        }
    }
}
