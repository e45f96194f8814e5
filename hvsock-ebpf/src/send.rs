//! The send path: a call of send, its waits for room, the payload it hands over, and each packet's ring write.

use hvsock_common::{ConnRecord, Latency, Outcome, PACKET_OVERHEAD, RING_RESERVE_2016, Rings, UNKNOWN};

use crate::{
    account,
    errno::EAGAIN,
    inherit,
    maps::{Cpu, at},
    read, ring, slot,
};

/// Bytes of the pipe header in front of the payload (`struct vmpipe_proto_header`).
const PIPE_HEADER: u64 = 8;

/// `vmbus_sendpacket(channel, buffer, length, …)`, return: hv_sock's way to `hv_ringbuffer_write`, whose result it passes on. Disks and
/// network cards mostly take others, and what it is given says how long the packet is.
#[inline(always)]
pub(crate) fn ring_write(
    cpu: Cpu,
    chan: u64,
    length: u64,
    ret: i64,
    used: impl FnOnce(&Rings) -> Option<u64>,
) -> Outcome {
    let Some(slot) = slot::of_channel_on(cpu, chan) else { return Outcome::Filtered };
    // The parameter has 32 bits; what else is in the register means nothing.
    let len = u64::from(length as u32);
    // SAFETY: a map value; the socket's lock is held by the sender, so it is the only writer of this part.
    unsafe {
        let tx = &raw mut (*slot).tx;
        if ret as i32 != 0 {
            (*tx).failed_writes += 1;
        } else if len > PIPE_HEADER {
            // A FIN carries no payload and is no packet of the stream's.
            (*tx).packets += 1;
        }
        look(slot, used);
    }
    Outcome::Recorded
}

/// Notes how full the out ring is.
///
/// # Safety
/// The caller holds the socket's lock.
#[inline(always)]
unsafe fn look(slot: *mut ConnRecord, used: impl FnOnce(&Rings) -> Option<u64>) {
    // SAFETY: a map value; see above.
    unsafe {
        let rings = (*slot).rings;
        if rings.out_header == 0 {
            return;
        }
        let tx = &raw mut (*slot).tx;
        match used(&rings) {
            Some(used) => {
                let size = u64::from(rings.out_size);
                (*tx).used = used as u32;
                if used > u64::from((*tx).max_used) {
                    (*tx).max_used = used as u32;
                }
                ring::count_step(&raw mut (*tx).occupancy, used, size, u64::from(at!(ring_reserve)));
                if used + u64::from(RING_RESERVE_2016) >= size {
                    (*tx).tight += 1;
                }
            }
            None => (*tx).invalid += 1,
        }
    }
}

/// `hvs_stream_enqueue(vsk, msg, len)`, return: how many bytes were taken.
#[inline(always)]
pub(crate) fn enqueue(cpu: Cpu, vsk: u64, len: u64, ret: i64) -> Outcome {
    let Some(slot) = slot::of_socket_on(cpu, vsk) else { return Outcome::Filtered };
    // SAFETY: a map value; the socket's lock is held.
    unsafe {
        let tx = &raw mut (*slot).tx;
        (*tx).calls += 1;
        if ret > 0 {
            (*tx).bytes += ret as u64;
            if (*slot).phases.first_byte_ns == UNKNOWN && (*slot).opened_ns != UNKNOWN {
                (*slot).phases.first_byte_ns = read::since((*slot).opened_ns);
                account::latency_of(cpu, slot, Latency::FirstByteTx, (*slot).phases.first_byte_ns);
            }
        }
        if ret >= 0 && (ret as u64) < len {
            (*tx).short_writes += 1;
        }
    }
    Outcome::Recorded
}

/// `hvs_notify_send_pre_block(vsk, data)`: no room, the sender is about to sleep. Called again after each vain wake-up.
#[inline(always)]
pub(crate) fn block(cpu: Cpu, vsk: u64) -> Outcome {
    let Some(slot) = inherit::of_socket_on(cpu, vsk) else { return Outcome::Filtered };
    // SAFETY: a map value; the socket's lock is held.
    unsafe {
        let tx = &raw mut (*slot).tx;
        if (*tx).stalled_since == 0 {
            (*tx).stalled_since = read::now();
            (*tx).stalled_by = read::thread();
            (*tx).stalls += 1;
        }
    }
    Outcome::Recorded
}

/// `hvs_notify_send_pre_enqueue(vsk, data)`: there is room.
#[inline(always)]
pub(crate) fn ready(cpu: Cpu, vsk: u64) -> Outcome {
    let Some(slot) = inherit::of_socket_on(cpu, vsk) else { return Outcome::Filtered };
    // SAFETY: the socket's lock is held.
    unsafe { end_stall(cpu, slot, true) };
    Outcome::Recorded
}

/// Ends the wait for room, if one is on.
///
/// # Safety
/// The caller holds the socket's lock, or has just let it go in the call that took it.
#[inline(always)]
unsafe fn end_stall(cpu: Cpu, slot: *mut ConnRecord, with_room: bool) -> bool {
    // SAFETY: a map value; see above.
    unsafe {
        let tx = &raw mut (*slot).tx;
        if (*tx).stalled_since == 0 {
            return false;
        }
        let waited = read::since((*tx).stalled_since);
        (*tx).stalled_since = 0;
        (*tx).stall_ns += waited;
        if with_room {
            account::latency_of(cpu, slot, Latency::SendStall, waited);
        }
        true
    }
}

/// `vsock_connectible_sendmsg(sock, msg, len)`, return.
#[inline(always)]
pub(crate) fn end(cpu: Cpu, sock: u64, len: u64, ret: i64) -> Outcome {
    let ret = ret as i32 as i64;
    if ret >= 0 && ret as u64 == len {
        // Everything was sent, so every wait in it has ended with room. There is nothing to note, whosever socket it is.
        return Outcome::Filtered;
    }
    let Some(sk) = read::field(sock, at!(socket_sk)) else { return Outcome::Faulted };
    let Some(slot) = slot::of_socket_on(cpu, sk) else { return Outcome::Filtered };
    // SAFETY: a map value. The lock was let go a moment ago, in this very call; a wait of another sender's is left alone.
    unsafe {
        let tx = &raw mut (*slot).tx;
        // Part of the data may have gone out before the wait that a signal or the time limit ended; then the call succeeds.
        let stalled =
            (*tx).stalled_since != 0 && (*tx).stalled_by == read::thread() && end_stall(cpu, slot, false);
        if ret < 0 {
            (*tx).last_error = (-ret) as u32;
            if ret == i64::from(EAGAIN) && !stalled {
                (*tx).eagain += 1;
            }
        }
    }
    Outcome::Recorded
}

const _: () = assert!(PACKET_OVERHEAD as u64 == 16 + PIPE_HEADER + 8, "descriptor, pipe header, trailer");
