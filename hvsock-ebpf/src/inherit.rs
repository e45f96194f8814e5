//! Connections that were there before the probes: the first hook that meets one gives it a slot.
//!
//! Why this cannot go wrong
//! - *The socket is alive while we look.* Every caller but `queue` holds it: the inventory through the open file, the others because hv_sock itself
//!   is using it (socket lock, accepting thread, the channel's tasklet, the channel's own reference). So `hvs_destruct`, which retires
//!   the record, comes after; a record made here is never left behind. Nor can the relid pass to another connection meanwhile.
//! - *An open in progress is left alone.* `hvs_probe` enters its channel in `OPENS` milliseconds before the socket's state becomes
//!   "established", and takes it out when its own record is complete. The state is read first and `OPENS` second, so an established
//!   socket whose open is still being watched is always seen to be. An open that began before the probes is not in `OPENS`, none of
//!   its steps are recorded, and it is ours.
//! - *Two hooks may meet one connection at once*, on two CPUs or in an interrupt. `ADOPTING` lets one in; the other counts its event
//!   as filtered, as if it had come before the probes. Hooks match a slot by channel and socket, which are written last, so none of
//!   them writes into a record that is still being filled.

use hvsock_common::{ConnRecord, Direction, MISSING, State, flag};

use crate::{
    fresh,
    maps::{ADOPTING, Cpu, OPENS, at},
    open::TLNPI_PROVIDER_OFFER,
    read, slot, take,
};

/// Bit of `SOCK_DEAD` in `sk_flags` (enum sock_flags, include/net/sock.h): no process has the socket any more.
pub(crate) const SOCK_DEAD: u64 = 1;

/// Bit of `SOCK_DONE`: hv_sock has done its part of the close.
const SOCK_DONE: u64 = 2;

/// The slot of a socket that hv_sock is using at this moment; a connection older than the probes gets one now. For a known connection it
/// costs what `slot::of_socket` costs.
#[inline(always)]
pub(crate) fn of_socket(vsk: u64) -> Option<*mut ConnRecord> {
    match slot::of_socket(vsk) {
        Some(slot) => Some(slot),
        None => newcomer(vsk),
    }
}

/// The same where this CPU's counters are at hand; see `slot::of_socket_on`.
#[inline(always)]
pub(crate) fn of_socket_on(cpu: Cpu, vsk: u64) -> Option<*mut ConnRecord> {
    match slot::of_socket_on(cpu, vsk) {
        Some(slot) => Some(slot),
        None => newcomer(vsk),
    }
}

/// The same from the channel, for which hv_sock has stored its socket.
#[inline(always)]
pub(crate) fn of_channel(chan: u64) -> Option<*mut ConnRecord> {
    match slot::of_channel(chan) {
        Some(slot) => Some(slot),
        None if at!(chan_state) == MISSING => None,
        None => newcomer(read::field(chan, at!(chan_state))?),
    }
}

/// Whether the socket is connected, by its state; `None` when that cannot be read.
#[inline(always)]
pub(crate) fn is_connected(vsk: u64) -> Option<bool> {
    if at!(sk_state) == MISSING {
        return Some(false);
    }
    let state = u32::from(read::field::<u8>(vsk, at!(sk_state))?);
    Some(state == at!(state_established) || state == at!(state_closing))
}

#[inline(always)]
fn newcomer(vsk: u64) -> Option<*mut ConnRecord> {
    match adopt(vsk) {
        NONE => None,
        relid => slot::by_relid(relid),
    }
}

/// How many children of a listener are looked at; the verifier walks every turn of the loop. Those further back show in the backlog, and
/// come up as those before them are accepted.
const QUEUE: u32 = 128;

/// Gives the next child that waits in a listener's queue its slot. False: there is none left.
///
/// Nothing but the queue holds a child. It may be accepted, closed and freed while we look, and then a slot would be left behind. Therefore
/// its place in the queue is looked at once more after its slot can be seen by the hooks: if it is still there, `hvs_destruct` is yet to
/// come and will find the slot; if it is not, the slot is given back. A child that leaves the queue is linked to itself
/// (`list_del_init`), in freed memory too, so neither the walk nor the second look can be led astray by one that has left.
#[inline(always)]
pub(crate) fn queue(listener: u64) -> bool {
    if at!(vsk_accept_queue) == MISSING || at!(chan_state) == MISSING {
        return false;
    }
    let head = listener.wrapping_add(at!(vsk_accept_queue) as u64);
    let Some(node) = waiting(head) else { return false };
    let child = node.wrapping_sub(at!(vsk_accept_queue) as u64);
    let Some(slot) = newcomer(child) else { return false };
    if !is_linked(node) {
        give_back(slot, child);
        return false;
    }
    true
}

/// The first child in the queue that has a channel and no slot. Only found here: older verifiers, which walk every turn of a loop, give up
/// on a loop that adopts.
#[inline(always)]
fn waiting(head: u64) -> Option<u64> {
    let mut node = head;
    let mut turn = 0;
    while turn < QUEUE {
        turn += 1;
        let next = read::field::<u64>(node, 0)?;
        if next == head || next == node {
            return None;
        }
        node = next;
        let child = node.wrapping_sub(at!(vsk_accept_queue) as u64);
        // What is asked of it here is only what tells hv_sock's children from others'; the rest is asked when it is adopted.
        let Some(chan) = slot::channel_of(child) else { continue };
        if slot::of_channel(chan).is_none() && read::field::<u64>(chan, at!(chan_state)) == Some(child) {
            return Some(node);
        }
    }
    None
}

/// Whether the node (`struct list_head`: next, prev) is in a list.
#[inline(always)]
fn is_linked(node: u64) -> bool {
    let (Some(next), Some(prev)) = (read::field::<u64>(node, 0), read::field::<u64>(node, 8)) else {
        return false;
    };
    next != node && read::field::<u64>(prev, 0) == Some(node)
}

/// Frees a slot that should not have been taken. `hvs_destruct` may have done it already.
#[inline(always)]
fn give_back(slot: *mut ConnRecord, vsk: u64) {
    // SAFETY: a map value.
    unsafe {
        if (*slot).sk == vsk && (*slot).state != State::Free as u32 {
            let seq = (*slot).seq & !1;
            (&raw mut (*slot).seq).write_volatile(seq + 1);
            (*slot).state = State::Free as u32;
            (&raw mut (*slot).seq).write_volatile(seq + 2);
        }
    }
}

/// No relid.
const NONE: u32 = u32::MAX;

/// What is to be known of a connection to give it a slot.
struct Found {
    vsk: u64,
    chan: u64,
    relid: u32,
    direction: Direction,
    state: State,
    /// Bits of [`flag`].
    flags: u32,
}

/// Follows vsk → hvsock → channel and back. Sockets of other transports fail at the way back: no other channel names them.
#[inline(always)]
fn examine(vsk: u64) -> Option<Found> {
    if at!(chan_state) == MISSING
        || at!(chan_rescind) == MISSING
        || at!(chan_flags) == MISSING
        || at!(chan_user_def) == MISSING
        || at!(hvs_vsk) == MISSING
        || at!(sk_state) == MISSING
        || at!(sk_flags) == MISSING
        || at!(sk_socket) == MISSING
        || at!(vsk_local_port) == MISSING
        || at!(vsk_remote_port) == MISSING
    {
        return None;
    }
    let hvs = read::field::<u64>(vsk, at!(vsk_trans))?;
    if read::field::<u64>(hvs, at!(hvs_vsk))? != vsk {
        return None;
    }
    let chan = read::field::<u64>(hvs, at!(hvs_chan))?;
    if read::field::<u64>(chan, at!(chan_state))? != vsk {
        return None;
    }
    if read::field::<u16>(chan, at!(chan_flags))? & TLNPI_PROVIDER_OFFER == 0 {
        return None;
    }
    // Before OPENS: see above.
    let state = u32::from(read::field::<u8>(vsk, at!(sk_state))?);
    if state != at!(state_established) && state != at!(state_closing) {
        return None;
    }
    let mut flags = flag::INHERITED;
    let mut state = State::Established;
    let sk_flags = read::field::<u64>(vsk, at!(sk_flags))?;
    let dead = sk_flags & SOCK_DEAD != 0;
    if dead {
        flags |= flag::RELEASED;
        state = State::Closing;
        if sk_flags & SOCK_DONE != 0 {
            // The host has not taken the channel away in time, or is about to take it now that it no longer matters.
            flags |= flag::CLOSE_TIMED_OUT;
        }
    }
    if read::field::<u8>(chan, at!(chan_rescind))? != 0 {
        flags |= flag::RESCINDED;
        if !dead {
            flags |= flag::HOST_FIRST;
            state = State::Rescinded;
        }
    }
    // Whether a child that is closed by now had ever been accepted is not to be known; it must not count as one that was not.
    if dead || read::field::<u64>(vsk, at!(sk_socket))? != 0 {
        flags |= flag::ACCEPTED;
    }
    let from_host = read::field::<u8>(chan, at!(chan_user_def))? != 0;
    let direction = if from_host { Direction::FromHost } else { Direction::ToHost };
    Some(Found { vsk, chan, relid: read::field(chan, at!(chan_relid))?, direction, state, flags })
}

/// Gives the socket's connection a slot and returns its relid, or [`NONE`]. A function of its own, because many programs use it and none
/// of them often.
#[inline(never)]
fn adopt(vsk: u64) -> u32 {
    examine(vsk).and_then(|found| claim(&found)).unwrap_or(NONE)
}

#[inline(always)]
fn claim(found: &Found) -> Option<u32> {
    let slot = slot::by_relid(found.relid)?;
    let opening = OPENS.get(found.relid)?;
    // SAFETY: a map value; volatile, because it must be read after the socket's state.
    if unsafe { core::ptr::from_ref(opening).read_volatile() } == found.chan {
        return None;
    }
    // BPF_NOEXIST: only one succeeds.
    ADOPTING.insert(found.relid, found.vsk, 1).ok()?;
    // SAFETY: a map value. The claim makes us its only writer, unless it is live, and then it is left as it is or retired.
    unsafe {
        let live = (*slot).state != State::Free as u32;
        if !live || (*slot).chan != found.chan || (*slot).sk != found.vsk {
            if live {
                take::end_missed(slot);
            }
            fill(slot, found);
        }
    }
    let _ = ADOPTING.remove(found.relid);
    Some(found.relid)
}

/// # Safety
/// `slot` is a free map value, and the caller has the claim to it.
#[inline(always)]
unsafe fn fill(slot: *mut ConnRecord, found: &Found) {
    // SAFETY: as the caller says; the reader is told by the odd number that the slot is being written.
    unsafe {
        let seq = (*slot).seq & !1;
        (&raw mut (*slot).seq).write_volatile(seq + 1);
        fresh::blank(slot);
        (*slot).relid = found.relid;
        (*slot).direction = found.direction as u32;
        (*slot).local_port = read::field(found.vsk, at!(vsk_local_port)).unwrap_or(0);
        (*slot).remote_port = read::field(found.vsk, at!(vsk_remote_port)).unwrap_or(0);
        slot::set_service(slot, found.chan);
        slot::set_rings(slot, found.chan);
        // If the channel is gone already, nobody looked when it went.
        (*slot).rings.unread_at_rescind = u32::MAX;
        (*slot).begin_ns = read::now();
        (*slot).flags = found.flags;
        (*slot).state = found.state as u32;
        (&raw mut (*slot).sk).write_volatile(found.vsk);
        (&raw mut (*slot).chan).write_volatile(found.chan);
        (&raw mut (*slot).seq).write_volatile(seq + 2);
    }
}
