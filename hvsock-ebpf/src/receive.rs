//! The receive path: the payload handed to readers, and their waits for it.

use hvsock_common::{Latency, Outcome, UNKNOWN};

use crate::{
    account,
    errno::EAGAIN,
    inherit,
    maps::{Cpu, at},
    read, slot,
};

/// `hvs_stream_dequeue(vsk, msg, len, flags)`, return: how many bytes were given out.
#[inline(always)]
pub(crate) fn dequeue(cpu: Cpu, vsk: u64, ret: i64) -> Outcome {
    let Some(slot) = inherit::of_socket_on(cpu, vsk) else { return Outcome::Filtered };
    let Some(hvs) = read::field::<u64>(vsk, at!(vsk_trans)) else { return Outcome::Faulted };
    // SAFETY: a map value; the socket's lock is held by the reader.
    unsafe {
        let rx = &raw mut (*slot).rx;
        (*rx).calls += 1;
        if (*rx).waiting_since != 0 {
            let waited = read::since((*rx).waiting_since);
            (*rx).waiting_since = 0;
            (*rx).wait_ns += waited;
            account::latency_of(cpu, slot, Latency::RecvWait, waited);
        }
        if ret <= 0 {
            return Outcome::Recorded;
        }
        (*rx).bytes += ret as u64;
        // A packet that was read to its end is let go at once: either none is held now, or the next one is, unread.
        let (Some(desc), Some(off)) =
            (read::field::<u64>(hvs, at!(hvs_recv_desc)), read::field::<u32>(hvs, at!(hvs_recv_off)))
        else {
            return Outcome::Faulted;
        };
        if desc == 0 || off == 0 {
            (*rx).packets += 1;
        }
        if (*slot).phases.first_byte_ns == UNKNOWN && (*slot).opened_ns != UNKNOWN {
            (*slot).phases.first_byte_ns = read::since((*slot).opened_ns);
            account::latency_of(cpu, slot, Latency::FirstByteRx, (*slot).phases.first_byte_ns);
        }
    }
    Outcome::Recorded
}

/// `hvs_notify_recv_pre_block(vsk, target, data)`: nothing to read, the reader is about to sleep.
#[inline(always)]
pub(crate) fn block(cpu: Cpu, vsk: u64) -> Outcome {
    let Some(slot) = inherit::of_socket_on(cpu, vsk) else { return Outcome::Filtered };
    // SAFETY: a map value; the socket's lock is held.
    unsafe {
        let rx = &raw mut (*slot).rx;
        if (*rx).waiting_since == 0 {
            (*rx).waiting_since = read::now();
            (*rx).waiting_by = u64::from(read::thread());
            (*rx).waits += 1;
        }
    }
    Outcome::Recorded
}

/// `vsock_connectible_recvmsg(sock, msg, len, flags)`, return: the wait is over even if nothing came (end of stream, signal, time-out).
#[inline(always)]
pub(crate) fn end(cpu: Cpu, sock: u64, ret: i64) -> Outcome {
    let Some(sk) = read::field(sock, at!(socket_sk)) else { return Outcome::Faulted };
    let Some(slot) = slot::of_socket_on(cpu, sk) else { return Outcome::Filtered };
    let ret = ret as i32 as i64;
    // SAFETY: a map value; as for the send path's end.
    unsafe {
        let rx = &raw mut (*slot).rx;
        if (*rx).waiting_since != 0 && (*rx).waiting_by == u64::from(read::thread()) {
            (*rx).wait_ns += read::since((*rx).waiting_since);
            (*rx).waiting_since = 0;
        }
        if ret < 0 && ret != i64::from(EAGAIN) {
            (*rx).errors += 1;
            (*rx).last_error = (-ret) as u64;
        }
    }
    Outcome::Recorded
}
