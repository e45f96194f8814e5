//! The guest's side of a connect: the request, and how the call that made it ended.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid};
use hvsock_common::{ConnectResult, Connecting, Direction, EventKind, Outcome};

use crate::{
    events, fresh,
    maps::{self, CONNECTING, at},
    ports, read,
};

/// `hvs_connect(vsk)`: the request goes to the host.
#[inline(always)]
pub(crate) fn begin(vsk: u64) -> Outcome {
    let connecting = Connecting {
        begin_ns: read::now(),
        pid_tgid: bpf_get_current_pid_tgid(),
        comm: bpf_get_current_comm().unwrap_or([0; 16]),
        remote_port: read::field(vsk, at!(vsk_remote_port)).unwrap_or(0),
        local_port: read::field(vsk, at!(vsk_local_port)).unwrap_or(0),
    };
    match CONNECTING.insert(vsk, connecting, 0) {
        Ok(()) => Outcome::Recorded,
        Err(_) => Outcome::MapFull,
    }
}

/// `vsock_connect(sock, addr, len, flags)`, return.
#[inline(always)]
pub(crate) fn end(sock: u64, ret: i64) -> Outcome {
    let Some(sk) = read::field::<u64>(sock, at!(socket_sk)) else { return Outcome::Faulted };
    let Some(result) = outcome_of(ret as i32) else { return Outcome::Filtered };
    // Success is counted when the connection is established; an entry that is still here has failed.
    let Some(connecting) = CONNECTING.get_ptr_mut(sk) else { return Outcome::Filtered };
    // SAFETY: a map value.
    let port = unsafe { (*connecting).remote_port };
    let _ = CONNECTING.remove(sk);
    if let Some(cpu) = maps::cpu() {
        // SAFETY: the index is bounded by the enum; this hook is the only writer.
        unsafe { *(&raw mut (*cpu).connects).cast::<u64>().add(result as usize) += 1 };
    }
    let counted = ports::connect(port, result);
    let outcome = report(sk, port, result, ret as i32);
    if counted { outcome } else { Outcome::MapFull }
}

/// `vsock_connect_timeout(work)`: a connect whose call had returned gave up.
#[inline(always)]
pub(crate) fn timeout(work: u64) -> Outcome {
    let sk = work.wrapping_sub(at!(vsk_connect_work) as u64);
    let Some(connecting) = CONNECTING.get_ptr_mut(sk) else { return Outcome::Filtered };
    // SAFETY: a map value.
    let port = unsafe { (*connecting).remote_port };
    let _ = CONNECTING.remove(sk);
    if let Some(cpu) = maps::cpu() {
        // SAFETY: this hook is the only writer.
        unsafe { (*cpu).connects_late_timed_out += 1 };
    }
    let counted = ports::connect(port, ConnectResult::TimedOut);
    let outcome = report(sk, port, ConnectResult::TimedOut, -110);
    if counted { outcome } else { Outcome::MapFull }
}

#[inline(always)]
fn outcome_of(ret: i32) -> Option<ConnectResult> {
    Some(match ret {
        // Done, or still going on.
        0.. | -115 | -114 => return None,
        -110 => ConnectResult::TimedOut,
        -111 | -104 => ConnectResult::Refused,
        -4 | -512 => ConnectResult::Interrupted,
        -101 | -19 | -113 => ConnectResult::Unreachable,
        -1 | -13 => ConnectResult::NotPermitted,
        _ => ConnectResult::Other,
    })
}

/// A connect that failed has no slot; its event carries the ports alone.
#[inline(always)]
pub(crate) fn report(sk: u64, remote_port: u32, result: ConnectResult, error: i32) -> Outcome {
    if maps::config().events == 0 {
        return Outcome::Recorded;
    }
    let Some(event) = events::reserve() else { return Outcome::RingFull };
    // SAFETY: the reserved space is a whole event, and every field that readers of this kind use is written before it is submitted.
    unsafe {
        (*event).time_ns = read::now();
        (*event).kind = EventKind::ConnectFailed as u32;
        (*event).detail = result as u32;
        (*event).error = error;
        (*event).pid = (bpf_get_current_pid_tgid() >> 32) as u32;
        (*event).reserved = [0; 5];
        (*event).record.seq = 0;
        fresh::blank(&raw mut (*event).record);
        (*event).record.sk = sk;
        (*event).record.direction = Direction::ToHost as u32;
        (*event).record.remote_port = remote_port;
        (*event).record.local_port = read::field(sk, at!(vsk_local_port)).unwrap_or(0);
        (*event).record.comm = bpf_get_current_comm().unwrap_or([0; 16]);
    }
    events::submit(event);
    Outcome::Recorded
}
