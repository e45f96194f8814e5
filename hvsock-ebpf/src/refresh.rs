//! A look at every live ring, run by the reader for each Snapshot: what is in the rings *now*, not when the guest last wrote.

use hvsock_common::{REFRESH_CHUNK, State};

use crate::{ring, slot};

/// Looks at the rings of the connection in slot `relid`, if there is one.
#[inline(always)]
pub(crate) fn look(relid: u32) {
    let Some(slot) = slot::by_relid(relid) else { return };
    // SAFETY: a map value; only this program writes `now_*`.
    unsafe {
        if (*slot).state == State::Free as u32 {
            return;
        }
        let rings = (*slot).rings;
        let (out_now, in_now) = if rings.out_header == 0 || (*slot).state == State::Opening as u32 {
            (u32::MAX, u32::MAX)
        } else {
            (
                ring::used(rings.out_header, rings.out_size).map_or(u32::MAX, |used| used as u32),
                ring::unread(rings.in_header, (*slot).chan, rings.in_size)
                    .map_or(u32::MAX, |used| used as u32),
            )
        };
        (*slot).now_out_used = out_now;
        (*slot).now_in_used = in_now;
    }
}

/// Looks at the slots from `first` on, [`REFRESH_CHUNK`] of them: the verifier walks every turn of the loop, and has a limit.
#[inline(always)]
pub(crate) fn from(first: u32) {
    let mut step = 0;
    while step < REFRESH_CHUNK {
        look(first.wrapping_add(step));
        step += 1;
    }
}
