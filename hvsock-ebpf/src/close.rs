//! The close path: the guest closes, the host takes the channel away, time runs out, the socket is freed.

use hvsock_common::{ConnRecord, CpuCounters, Direction, EventKind, Latency, Outcome, State, UNKNOWN, flag};

use crate::{
    account, atomic, inherit, log,
    maps::{self, CONNECTING, at},
    open, read, ring, slot,
};

/// `hvs_release(vsk)`: the guest closes.
#[inline(always)]
pub(crate) fn release(vsk: u64) -> Outcome {
    if CONNECTING.get_ptr_mut(vsk).is_some() {
        // It was closed before its connect had an outcome.
        let _ = CONNECTING.remove(vsk);
        if let Some(cpu) = maps::cpu() {
            // SAFETY: this hook is the field's only writer.
            unsafe { (*cpu).connects_abandoned += 1 };
        }
        return Outcome::Recorded;
    }
    let Some(slot) = inherit::of_socket(vsk) else { return Outcome::Filtered };
    // SAFETY: a map value; the socket's lock is held.
    unsafe {
        if (*slot).flags & flag::INHERITED != 0
            && (*slot).flags & flag::RELEASED != 0
            && read::field::<u64>(vsk, at!(sk_socket)) == Some(0)
        {
            // Found only now, as it closes (newer kernels mark it dead just before), and no process has ever had it.
            (*slot).flags &= !flag::ACCEPTED;
        }
        (*slot).flags |= flag::RELEASED;
        (*slot).released_ns = read::now();
        if (*slot).state == State::Established as u32 {
            (*slot).state = State::Closing as u32;
        }
    }
    Outcome::Recorded
}

/// `hvs_close_connection(chan)`: the host takes the channel away.
#[inline(always)]
pub(crate) fn rescind(chan: u64) -> Outcome {
    let Some(slot) = inherit::of_channel(chan) else { return Outcome::Filtered };
    let now = read::now();
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: a map value; the callback no longer runs, and the flags' other writer, the guest's close, is told apart by its own bit.
    unsafe {
        (*slot).rescinded_ns = now;
        let flags = (*slot).flags;
        (*slot).flags = flags | flag::RESCINDED;
        let rings = (*slot).rings;
        if rings.in_header != 0 {
            (*slot).rings.unread_at_rescind =
                unread((*slot).sk, chan, rings.in_header, rings.in_size).unwrap_or(u32::MAX);
        }
        if flags & flag::RELEASED == 0 {
            (*slot).flags |= flag::HOST_FIRST;
            (*slot).state = State::Rescinded as u32;
            (*cpu).closes.by_host += 1;
        } else if flags & flag::CLOSE_TIMED_OUT == 0 {
            (*cpu).closes.graceful += 1;
            note_close(slot, now);
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
        (*slot).flags |= flag::CLOSE_TIMED_OUT;
        (*cpu).closes.timed_out += 1;
        note_close(slot, read::now());
    }
    Outcome::Recorded
}

/// # Safety
/// `slot` points to a map value.
#[inline(always)]
unsafe fn note_close(slot: *mut ConnRecord, now: u64) {
    // SAFETY: as the caller says.
    unsafe {
        if (*slot).released_ns != UNKNOWN {
            (*slot).phases.close_ns = now.wrapping_sub((*slot).released_ns);
            account::latency_of(slot, Latency::Close, (*slot).phases.close_ns);
        }
    }
}

/// `hvs_destruct(vsk)`: the end. The totals move from the slot to the sums, and the slot is free.
#[inline(always)]
pub(crate) fn freed(vsk: u64) -> Outcome {
    let Some(slot) = slot::of_socket(vsk) else { return Outcome::Filtered };
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
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
            if let Some(port) = open::port((*slot).local_port, (*slot).direction) {
                atomic::add(&raw mut (*port).never_accepted, 1);
            }
        }
    }
    retire(slot, read::now(), Some(cpu))
}

/// Moves a connection's totals to the sums of this CPU, reports its end and frees its slot, in this order: a reader that finds the slot
/// free finds the totals in the sums.
#[inline(always)]
pub(crate) fn retire(slot: *mut ConnRecord, now: u64, cpu: Option<*mut CpuCounters>) -> Outcome {
    let Some(cpu) = cpu.or_else(maps::cpu) else { return Outcome::Faulted };
    // SAFETY: map values. The sums are written by whoever retires a connection; see DESIGN notes in docs/architecture.md on the one
    // case (an end that was missed) in which that is not `hvs_destruct`.
    unsafe {
        (*slot).freed_ns = now;
        let seq = (*slot).seq;
        (&raw mut (*slot).seq).write_volatile(seq + 1);
        let sums = &raw mut (*cpu).closed;
        let (tx, rx, callbacks) =
            (&raw const (*slot).tx, &raw const (*slot).rx, &raw const (*slot).callbacks);
        (*sums).connections += 1;
        (*sums).tx_bytes += (*tx).bytes;
        (*sums).tx_packets += (*tx).packets;
        (*sums).rx_bytes += (*rx).bytes;
        (*sums).rx_packets += (*rx).packets;
        (*sums).callbacks += (*callbacks).count;
        (*sums).stalls += (*tx).stalls;
        (*sums).stall_ns += (*tx).stall_ns;
        (*sums).eagain += (*tx).eagain;
        (*sums).short_writes += (*tx).short_writes;
        (*sums).failed_writes += (*tx).failed_writes;
        (*sums).ring_invalid += ((*tx).invalid + (*callbacks).invalid) as u64;
        (*sums).wait_ns += (*rx).wait_ns;
        (*slot).state = State::Free as u32;
        (&raw mut (*slot).seq).write_volatile(seq + 2);
    }
    // SAFETY: a map value.
    let (relid, flags) = unsafe { ((*slot).relid, (*slot).flags) };
    log::freed(relid, flags);
    slot::send_event(EventKind::Closed, 0, 0, 0, slot)
}
