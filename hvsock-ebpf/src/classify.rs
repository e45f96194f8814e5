//! What became of an offer.

use hvsock_common::{Direction, Hook, OpenResult, Opening, seen};

use crate::{
    errno::{EAGAIN, ENODEV, ENOMEM},
    maps::{self, at},
    read,
};

/// Which of the cases of `hvs_open_connection` it was.
#[inline(always)]
pub(crate) fn classify(opening: &Opening) -> OpenResult {
    let active = maps::config().active;
    let sees = |hook: Hook| active & hook.bit() != 0;
    let has = |step: u32| opening.seen & step != 0;
    if has(seen::INSERT) {
        return OpenResult::Ok;
    }
    if !sees(Hook::Lookup) {
        return OpenResult::Other;
    }
    if !has(seen::LOOKUP) {
        return OpenResult::NotVsock;
    }
    if opening.sk == 0 {
        return OpenResult::NoListener;
    }
    if has(seen::OPEN) && opening.open_ret != 0 {
        return match opening.open_ret {
            ENOMEM => OpenResult::RingEnomem,
            ENODEV => OpenResult::Rescinded,
            EAGAIN => OpenResult::HostRefused,
            _ => OpenResult::Other,
        };
    }
    if has(seen::ALLOC) && opening.alloc_ret != 0 {
        return OpenResult::RingEnomem;
    }
    if opening.direction == Direction::ToHost as u32 {
        if opening.sk_state != at!(state_connecting) {
            return OpenResult::BadState;
        }
        return OpenResult::Other;
    }
    if has(seen::CREATE) {
        if opening.child == 0 {
            return OpenResult::NomemSock;
        }
        if has(seen::TRANSPORT) && (opening.transport_ret != 0 || !has(seen::OPEN_ENTERED)) {
            return OpenResult::Transport;
        }
        return OpenResult::Other;
    }
    if !sees(Hook::Create) {
        return OpenResult::Other;
    }
    // The child was never made: the state or the backlog forbade it. The socket was read before hv_sock locked it, so look again.
    let state = read::field::<u8>(opening.sk, at!(sk_state)).map_or(u32::MAX, u32::from);
    match (opening.sk_state == at!(state_listen), state == at!(state_listen)) {
        (true, true) => OpenResult::BacklogFull,
        (false, false) => OpenResult::BadState,
        _ => OpenResult::Ambiguous,
    }
}
