//! The close path: the guest closes, the host takes the channel away, time runs out, the socket is freed.

use hvsock_common::{ConnRecord, ConnectResult, Direction, Latency, Outcome, State, UNKNOWN, flag};

use crate::{
    account, atomic, connect, inherit,
    maps::{self, CONNECTING, Cpu, at},
    ports, read, retire, ring, slot,
};

/// `hvs_release(vsk)`: the guest closes.
#[inline(always)]
pub(crate) fn release(vsk: u64) -> Outcome {
    if let Some(connecting) = CONNECTING.get_ptr_mut(vsk) {
        // SAFETY: a map value.
        let port = unsafe { (*connecting).remote_port };
        let _ = CONNECTING.remove(vsk);
        // Unless it is connected, and only its open went unseen, it was closed before its connect had an outcome.
        match inherit::is_connected(vsk) {
            Some(true) => {}
            Some(false) => return abandoned(vsk, port),
            None => return Outcome::Faulted,
        }
    }
    let Some(slot) = inherit::of_socket(vsk) else { return Outcome::Filtered };
    // SAFETY: a map value; the socket's lock is held.
    unsafe {
        if (*slot).flags & flag::INHERITED != 0
            && (*slot).flags & flag::RELEASED != 0
            && read::field::<u64>(vsk, at!(sk_socket)) == Some(0)
        {
            // Found only now, as it closes (newer kernels mark it dead just before), and no process has ever had it.
            atomic::lower(&raw mut (*slot).flags, flag::ACCEPTED);
        }
        // The time first: whoever sees the flag, on another CPU perhaps, finds it.
        (&raw mut (*slot).released_ns).write_volatile(read::now());
        atomic::raise(&raw mut (*slot).flags, flag::RELEASED);
        if (*slot).state == State::Established as u32 {
            (*slot).state = State::Closing as u32;
        }
    }
    Outcome::Recorded
}

/// Counts and tells of a connect whose caller gave it up.
#[inline(always)]
fn abandoned(vsk: u64, port: u32) -> Outcome {
    if let Some(cpu) = maps::cpu() {
        // SAFETY: `hvs_release` is the field's only writer.
        unsafe { (*cpu).connects_abandoned += 1 };
    }
    let counted = ports::connect(port, ConnectResult::Abandoned);
    let outcome = connect::report(vsk, port, ConnectResult::Abandoned, 0);
    if counted { outcome } else { Outcome::MapFull }
}

/// `hvs_close_connection(chan)`: the host takes the channel away.
#[inline(always)]
pub(crate) fn rescind(chan: u64) -> Outcome {
    // To the search below, what cannot be read is not ours.
    if read::field::<u32>(chan, at!(chan_relid)).is_none() {
        return Outcome::Faulted;
    }
    let Some(slot) = inherit::of_channel(chan) else { return Outcome::Filtered };
    let now = read::now();
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: a map value; the callback no longer runs. The guest may close at the same time: whether it came first is decided by one look
    // at the flags.
    unsafe {
        (*slot).rescinded_ns = now;
        let flags = (&raw const (*slot).flags).read_volatile();
        atomic::raise(&raw mut (*slot).flags, flag::RESCINDED);
        let rings = (*slot).rings;
        if rings.in_header != 0 {
            (*slot).rings.unread_at_rescind =
                unread((*slot).sk, chan, rings.in_header, rings.in_size).unwrap_or(u32::MAX);
        }
        if flags & flag::RELEASED == 0 {
            atomic::raise(&raw mut (*slot).flags, flag::HOST_FIRST);
            (*slot).state = State::Rescinded as u32;
            (*cpu).closes.by_host += 1;
        } else if flags & flag::CLOSE_TIMED_OUT == 0 {
            (*cpu).closes.graceful += 1;
            note_close(cpu, slot);
        }
    }
    Outcome::Recorded
}

/// Payload bytes the guest has not read. A packet it has begun to read stays in front of its read index until it has read all of it, so
/// what was read of it already comes off.
#[inline(always)]
fn unread(sk: u64, chan: u64, header: u64, size: u32) -> Option<u32> {
    let hvs: u64 = read::field(sk, at!(vsk_trans))?;
    let held: u64 = read::field(hvs, at!(hvs_recv_desc))?;
    let consumed: u32 = if held == 0 { 0 } else { read::field(hvs, at!(hvs_recv_off))? };
    Some(ring::unread_payload(header, chan, size)?.wrapping_sub(consumed))
}

/// `hvs_close_timeout(work)`: the host did not take the channel away within 8 s of the guest's close.
#[inline(always)]
pub(crate) fn timeout(work: u64) -> Outcome {
    let vsk = work.wrapping_sub(at!(vsk_close_work) as u64);
    let Some(slot) = inherit::of_socket(vsk) else { return Outcome::Filtered };
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: a map value.
    unsafe {
        atomic::raise(&raw mut (*slot).flags, flag::CLOSE_TIMED_OUT);
        (*cpu).closes.timed_out += 1;
        note_close(cpu, slot);
    }
    Outcome::Recorded
}

/// # Safety
/// `slot` points to a map value.
#[inline(always)]
unsafe fn note_close(cpu: Cpu, slot: *mut ConnRecord) {
    // SAFETY: as the caller says.
    unsafe {
        if (*slot).released_ns != UNKNOWN {
            (*slot).phases.close_ns = read::since((*slot).released_ns);
            account::latency_of(cpu, slot, Latency::Close, (*slot).phases.close_ns);
        }
    }
}

/// `hvs_destruct(vsk)`: the end. The totals move from the slot to the sums, and the slot is free.
#[inline(always)]
pub(crate) fn freed(vsk: u64) -> Outcome {
    let Some(slot) = slot::of_socket(vsk) else { return Outcome::Filtered };
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    let mut counted = true;
    // SAFETY: a map value; nobody else has the socket any more.
    unsafe {
        if (*slot).opened_ns == UNKNOWN && (*slot).flags & flag::INHERITED == 0 {
            // vmbus_open failed and the child goes; the open's end reports it and frees the slot.
            return Outcome::Filtered;
        }
        if (*slot).flags & (flag::RESCINDED | flag::CLOSE_TIMED_OUT) == 0 {
            (*cpu).closes.other += 1;
        }
        if (*slot).direction == Direction::FromHost as u32 && (*slot).flags & flag::ACCEPTED == 0 {
            (*cpu).never_accepted += 1;
            counted = ports::never_accepted((*slot).local_port, (*slot).direction);
        }
    }
    let outcome = retire::retire(slot, read::now(), Some(cpu));
    if counted { outcome } else { Outcome::MapFull }
}
