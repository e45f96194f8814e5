//! Reading the slots while the kernel writes them.

use std::mem::offset_of;

use hvsock_common::{ConnRecord, MAX_RELIDS, State};

use crate::kernel::Mapped;

/// How often a slot is read again before it counts as torn.
const TRIES: usize = 64;

/// What a pass over the slots found.
#[derive(Default)]
pub(super) struct Pass {
    /// Live connections, in order of their relid.
    pub live: Vec<ConnRecord>,
    /// Slots that changed hands at every try.
    pub torn: u64,
}

/// Reads every slot that is in use.
pub(super) fn read(slots: &Mapped<ConnRecord>) -> Pass {
    let mut pass = Pass::default();
    for index in 0..MAX_RELIDS.min(slots.len()) {
        match read_one(slots, index) {
            Ok(Some(record)) => pass.live.push(record),
            Ok(None) => {}
            Err(Torn) => pass.torn += 1,
        }
    }
    pass
}

/// Whether a connection is in the slot; may be outdated by the time it is known.
pub(super) fn is_used(slots: &Mapped<ConnRecord>, index: usize) -> bool {
    // `state` is the low half of its word, `flags` the high one.
    const { assert!(offset_of!(ConnRecord, state).is_multiple_of(8)) };
    slots.word(index, offset_of!(ConnRecord, state)) as u32 != State::Free as u32
}

/// The sequence number of the connection in the slot, or of the next that will be in it: each takes two steps to come and two to go.
/// `None`: it changes hands at every try.
pub(super) fn turn(slots: &Mapped<ConnRecord>, index: usize) -> Option<u64> {
    for _ in 0..TRIES {
        let seq = slots.word(index, offset_of!(ConnRecord, seq));
        match seq % 4 {
            0 => return Some(seq + 2),
            2 => return Some(seq),
            _ => std::thread::yield_now(),
        }
    }
    None
}

/// Whether no connection has taken the slot yet since [`turn`] said `turn`.
pub(super) fn untouched(slots: &Mapped<ConnRecord>, index: usize, turn: u64) -> bool {
    slots.word(index, offset_of!(ConnRecord, seq)) + 2 == turn
}

struct Torn;

/// Reads one slot. The sequence number is odd while the slot changes hands and another one afterwards; a copy counts only if it was even
/// and the same on both sides of it.
fn read_one(slots: &Mapped<ConnRecord>, index: usize) -> Result<Option<ConnRecord>, Torn> {
    for _ in 0..TRIES {
        let before = slots.word(index, offset_of!(ConnRecord, seq));
        if before == 0 {
            // Never used.
            return Ok(None);
        }
        if before % 2 == 1 {
            std::thread::yield_now();
            continue;
        }
        let record = slots.read(index);
        if slots.word(index, offset_of!(ConnRecord, seq)) == before && record.seq == before {
            return Ok((record.state != State::Free as u32).then_some(record));
        }
    }
    Err(Torn)
}
