//! What goes wrong around connections: refusals by the host and by the kernel, teardowns that fail.

use hvsock_common::Outcome;

use crate::{
    errno::{EACCES, EPERM},
    maps,
};

/// CHANNELMSG_TL_CONNECT_RESULT (include/linux/hyperv.h): the host refuses a connect. Guests have no handler for it, so connect() waits
/// until it times out. The message does not say which connect it is about.
const TL_CONNECT_RESULT: u32 = 23;

/// `vsock_bind(sock, addr, len)`, return. Whoever may not have a privileged port (below 1024) gets EACCES.
#[inline(always)]
pub(crate) fn bind(ret: i64) -> Outcome {
    if !matches!(ret as i32, EPERM | EACCES) {
        return Outcome::Filtered;
    }
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: this hook is the field's only writer.
    unsafe { (*cpu).bind_not_permitted += 1 };
    Outcome::Recorded
}

/// `hvsock_create(net, sock, protocol, kern)`, return. AF_HYPERV wants CAP_SYS_ADMIN or CAP_NET_ADMIN of whoever asks for a socket.
#[inline(always)]
pub(crate) fn socket(ret: i64) -> Outcome {
    if ret as i32 != EPERM {
        return Outcome::Filtered;
    }
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: this hook is the field's only writer.
    unsafe { (*cpu).sockets_not_permitted += 1 };
    Outcome::Recorded
}

/// `hyperv:vmbus_teardown_gpadl`, of any device: the host was asked to give a ring back. The kernel does not ask where the host has taken the
/// channel away, so whatever is not zero is a ring that the host may still write to.
#[inline(always)]
pub(crate) fn teardown(ret: i32) -> Outcome {
    if ret != 0 {
        let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
        // SAFETY: this hook is the field's only writer.
        unsafe { (*cpu).teardown_failures += 1 };
    }
    Outcome::Recorded
}

/// `hyperv:vmbus_on_msg_dpc`: a message of the host's.
#[inline(always)]
pub(crate) fn host_message(kind: u32) -> Outcome {
    if kind != TL_CONNECT_RESULT {
        return Outcome::Filtered;
    }
    let Some(cpu) = maps::cpu() else { return Outcome::Faulted };
    // SAFETY: this hook is the field's only writer.
    unsafe { (*cpu).host_refusals += 1 };
    Outcome::Recorded
}
