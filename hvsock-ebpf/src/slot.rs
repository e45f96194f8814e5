//! From a kernel pointer to the connection's slot.

use hvsock_common::{ConnRecord, MAX_RELIDS, State};

use crate::{
    maps::{Cpu, SLOTS, at},
    read,
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

/// The same as [`of_channel`], quicker for the connection that this CPU last had to do with.
#[inline(always)]
pub(crate) fn of_channel_on(cpu: Cpu, chan: u64) -> Option<*mut ConnRecord> {
    // SAFETY: map values; see `recent`.
    unsafe {
        if let Some(slot) = recent(cpu)
            && (*slot).chan == chan
        {
            return Some(slot);
        }
        let slot = of_channel(chan)?;
        (*cpu).recent_relid = (*slot).relid;
        Some(slot)
    }
}

/// The same as [`of_socket`], quicker for the connection that this CPU last had to do with.
#[inline(always)]
pub(crate) fn of_socket_on(cpu: Cpu, vsk: u64) -> Option<*mut ConnRecord> {
    // SAFETY: map values; see `recent`.
    unsafe {
        if let Some(slot) = recent(cpu)
            && (*slot).sk == vsk
        {
            return Some(slot);
        }
        let slot = of_socket(vsk)?;
        (*cpu).recent_relid = (*slot).relid;
        Some(slot)
    }
}

/// The connection that this CPU last had to do with, if it still lives. One send is four hooks, one callback two, and to follow the pointers
/// in each of them would cost more than all they do. It is a guess, a single word that any hook may overwrite at any moment: who takes it must
/// compare channel or socket. Both are unique among live connections, because a connection is retired before either is freed.
#[inline(always)]
fn recent(cpu: Cpu) -> Option<*mut ConnRecord> {
    // SAFETY: map values.
    unsafe {
        let slot = SLOTS.get_ptr_mut((*cpu).recent_relid)?;
        ((*slot).state != State::Free as u32).then_some(slot)
    }
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
