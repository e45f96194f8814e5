//! sock_diag: the kernel's list of vsock sockets, as `ss --vsock` gets it. Needs no privilege; shows the sockets of our own network
//! namespace only.

use std::{collections::BTreeMap, io, time::Duration};

use rustix::{
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
        sockopt,
    },
};

/// `AF_VSOCK` (include/linux/socket.h).
const AF_VSOCK: u8 = 40;

/// Bits of a request and kinds of an answer (include/uapi/linux/netlink.h, sock_diag.h).
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// Bytes of `struct nlmsghdr`, `struct vsock_diag_req` and `struct vsock_diag_msg` (include/uapi/linux/vm_sockets_diag.h).
const HEADER: usize = 16;
const REQUEST: usize = 24;
const MESSAGE: usize = 32;

/// States of a socket, as bits of a request (include/net/tcp_states.h, which vsock has used since 4.15).
pub(super) const ESTABLISHED: u8 = 1;
pub(super) const LISTEN: u8 = 10;
pub(super) const CLOSING: u8 = 11;

/// The kernel answers at once; it would have to be broken to take so long.
const PATIENCE: Duration = Duration::from_secs(5);

/// One socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    /// `sk_state`.
    pub state: u8,
    /// `sk_shutdown`: what the guest has shut down.
    pub shutdown: u8,
    /// The guest's port.
    pub local_port: u32,
    /// Whose socket is at the other end.
    pub remote_cid: u32,
    /// Its port.
    pub remote_port: u32,
    /// The socket's inode number; zero: no process has it.
    pub inode: u32,
}

/// Why there is no list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoDiag {
    /// The kernel part that lists vsock sockets (vsock_diag.ko) is not there.
    Absent,
    /// Something else.
    Failed(String),
}

/// The sockets in these states.
pub(super) fn sockets(states: &[u8]) -> Result<Vec<Socket>, NoDiag> {
    exchange(states).map_err(|errno| NoDiag::Failed(format!("asking sock_diag failed: {errno}")))?.finish()
}

fn exchange(states: &[u8]) -> Result<Answer, Errno> {
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
    send(&socket, &request(states), SendFlags::empty())?;
    let mut answer = Answer::default();
    // The kernel sends no more than 32 KiB at a time.
    let mut buffer = vec![0; 1 << 16];
    while answer.end.is_none() {
        let (read, whole) = recv(&socket, &mut buffer[..], RecvFlags::TRUNC)?;
        if whole > read || read == 0 {
            return Err(Errno::MSGSIZE);
        }
        answer.take(&buffer[..read]);
    }
    Ok(answer)
}

fn request(states: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + REQUEST);
    bytes.extend(((HEADER + REQUEST) as u32).to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend((NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
    // Sequence number and port: the kernel answers to the socket that asked.
    bytes.extend([0; 8]);
    bytes.extend([AF_VSOCK, 0, 0, 0]);
    bytes.extend(states.iter().fold(0, |bits, state| bits | 1_u32 << state).to_ne_bytes());
    // Inode, what to show, cookie: not used by a dump.
    bytes.extend([0; 16]);
    bytes
}

/// What the kernel has said so far.
#[derive(Default)]
struct Answer {
    /// By cookie: a list that changes while it is given out in parts may name a socket twice.
    sockets: BTreeMap<u64, Socket>,
    end: Option<Result<(), NoDiag>>,
}

impl Answer {
    fn finish(self) -> Result<Vec<Socket>, NoDiag> {
        self.end.unwrap_or(Ok(()))?;
        Ok(self.sockets.into_values().collect())
    }

    /// Takes one datagram: messages one after the other, each with a header that says how long it is.
    fn take(&mut self, mut bytes: &[u8]) {
        while self.end.is_none() && !bytes.is_empty() {
            let malformed = || Some(Err(NoDiag::Failed("sock_diag's answer is malformed".to_owned())));
            let (Some(len), Some(kind)) = (word(bytes, 0), half(bytes, 4)) else {
                self.end = malformed();
                return;
            };
            let Some(body) = bytes.get(HEADER..len as usize) else {
                self.end = malformed();
                return;
            };
            match kind {
                NLMSG_DONE | NLMSG_ERROR => {
                    // A negative error number, or zero.
                    let error = word(body, 0).map_or(0, |error| error.cast_signed().wrapping_neg());
                    self.end = Some(match error {
                        0 => Ok(()),
                        libc::ENOENT => Err(NoDiag::Absent),
                        _ => {
                            let error = io::Error::from_raw_os_error(error);
                            Err(NoDiag::Failed(format!("sock_diag refused to list vsock sockets: {error}")))
                        }
                    });
                }
                SOCK_DIAG_BY_FAMILY => match socket(body) {
                    Some((cookie, socket)) => drop(self.sockets.insert(cookie, socket)),
                    None => self.end = malformed(),
                },
                _ => {}
            }
            // Messages begin at multiples of four.
            bytes = bytes.get((len as usize).next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

fn socket(body: &[u8]) -> Option<(u64, Socket)> {
    let body = body.get(..MESSAGE)?;
    let cookie = u64::from(word(body, 24)?) | u64::from(word(body, 28)?) << 32;
    let socket = Socket {
        state: body[2],
        shutdown: body[3],
        local_port: word(body, 8)?,
        remote_cid: word(body, 12)?,
        remote_port: word(body, 16)?,
        inode: word(body, 20)?,
    };
    (body[0] == AF_VSOCK).then_some((cookie, socket))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
#[path = "diag_tests.rs"]
mod tests;
