//! The accept path: a queued child gets its owner.

use aya_ebpf::helpers::{bpf_get_current_comm, bpf_get_current_pid_tgid};
use hvsock_common::{EventKind, Latency, Outcome, UNKNOWN, flag};

use crate::{account, atomic, events, inherit, maps::at, ports, read};

/// `vsock_accept(sock, newsock, …)`, return.
#[inline(always)]
pub(crate) fn end(newsock: u64, ret: i64) -> Outcome {
    if ret as i32 != 0 {
        return Outcome::Filtered;
    }
    let Some(child) = read::field::<u64>(newsock, at!(socket_sk)) else { return Outcome::Faulted };
    let Some(slot) = inherit::of_socket(child) else { return Outcome::Filtered };
    let pid = (bpf_get_current_pid_tgid() >> 32) as u32;
    // SAFETY: a map value; one thread accepts a child.
    unsafe {
        atomic::raise(&raw mut (*slot).flags, flag::ACCEPTED);
        (*slot).pid = pid;
        (*slot).owner_pass = 0;
        (*slot).comm = bpf_get_current_comm().unwrap_or([0; 16]);
        if (*slot).queued_ns != UNKNOWN {
            (*slot).phases.accept_wait_ns = read::since((*slot).queued_ns);
            account::latency(Latency::AcceptWait, (*slot).phases.accept_wait_ns);
        }
        if let Some(cpu) = crate::maps::cpu() {
            (*cpu).accepted += 1;
        }
    }
    // SAFETY: as above.
    let counted = unsafe { ports::accepted((*slot).local_port, (*slot).direction) };
    let outcome = events::send(EventKind::Accepted, 0, 0, pid, slot);
    if counted { outcome } else { Outcome::MapFull }
}
