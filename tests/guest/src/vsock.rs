//! Hyper-V sockets: streams between the guest and the host, of the family that [`Family`] says.

use std::io::{self, Read as _, Write as _};
use std::mem::size_of;
use std::net::Shutdown;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::PATIENCE;
use crate::family::{Address, Family};

/// A connected stream. Reads and writes block, for [`PATIENCE`] at most, and then fail with `WouldBlock`.
#[derive(Debug)]
pub struct Stream {
    // The kernel's stream calls are the same for every family, and std has safe ones for this type.
    io: UnixStream,
}

/// The two ends of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    /// The guest's port.
    pub guest: u32,
    /// The host's port.
    pub host: u32,
}

impl Stream {
    /// Connects to the host's service at `port`. hv_sock itself gives up after 2 s, AF_HYPERV after 30 s.
    pub fn connect(port: u32) -> io::Result<Self> {
        Self::start(port, 0)
    }

    /// Connects without waiting: `EINPROGRESS` is what a connection that is under way says, see [`Self::connected`].
    pub fn connect_nonblocking(port: u32) -> io::Result<Self> {
        Self::start(port, libc::SOCK_NONBLOCK)
    }

    /// Like [`Self::connect`], with another limit than hv_sock's 2 s. AF_HYPERV has no such option.
    pub fn connect_within(port: u32, limit: Duration) -> io::Result<Self> {
        if Family::current() != Family::Vsock {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let fd = socket(0)?;
        let limit = libc::timeval { tv_sec: limit.as_secs() as i64, tv_usec: limit.subsec_micros().into() };
        option(&fd, libc::AF_VSOCK, SO_VM_SOCKETS_CONNECT_TIMEOUT, &limit)?;
        Self::connect_on(fd, port, 0)
    }

    fn start(port: u32, flags: libc::c_int) -> io::Result<Self> {
        Self::connect_on(socket(flags)?, port, flags)
    }

    fn connect_on(fd: OwnedFd, port: u32, flags: libc::c_int) -> io::Result<Self> {
        let family = Family::current();
        let address = Address::new(family, true, port);
        // SAFETY: the pointer and the length are those of one initialised address.
        let result = unsafe { libc::connect(fd.as_raw_fd(), address.as_ptr(), Address::len(family)) };
        match check(result) {
            Err(e) if flags == 0 || e.raw_os_error() != Some(libc::EINPROGRESS) => Err(e),
            _ => Self::new(fd),
        }
    }

    /// Waits until a connection begun with [`Self::connect_nonblocking`] is there or has failed; blocking from then on.
    pub fn connected(&self, limit: Duration) -> io::Result<()> {
        if !self.wait(PollFlags::OUT, limit)? {
            return Err(io::ErrorKind::TimedOut.into());
        }
        if let Some(error) = self.io.take_error()? {
            return Err(error);
        }
        self.io.set_nonblocking(false)
    }

    fn new(fd: OwnedFd) -> io::Result<Self> {
        let io = UnixStream::from(fd);
        io.set_read_timeout(Some(PATIENCE))?;
        io.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { io })
    }

    /// Which connection this is.
    pub fn ports(&self) -> io::Result<Ports> {
        let family = Family::current();
        let name =
            |call: unsafe extern "C" fn(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> libc::c_int| {
                let (mut address, mut len) = (Address::empty(), Address::len(family));
                // SAFETY: getsockname or getpeername writes at most `len` bytes, for which there is room.
                let result = unsafe { call(self.io.as_raw_fd(), address.as_mut_ptr(), &raw mut len) };
                check(result).map(|()| address.port(family))
            };
        Ok(Ports { guest: name(libc::getsockname)?, host: name(libc::getpeername)? })
    }

    /// Sends all of `data`.
    pub fn send(&self, data: &[u8]) -> io::Result<()> {
        (&self.io).write_all(data)
    }

    /// One send that may block; how many bytes it took.
    pub fn send_once(&self, data: &[u8]) -> io::Result<usize> {
        (&self.io).write(data)
    }

    /// Sends what fits without waiting.
    pub fn send_now(&self, data: &[u8]) -> io::Result<usize> {
        self.io.set_nonblocking(true)?;
        let sent = (&self.io).write(data);
        self.io.set_nonblocking(false)?;
        sent
    }

    /// Receives something; 0 is the end.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.io).read(buffer)
    }

    /// Receives what is there without waiting.
    pub fn receive_now(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.io.set_nonblocking(true)?;
        let received = (&self.io).read(buffer);
        self.io.set_nonblocking(false)?;
        received
    }

    /// Receives exactly a buffer full.
    pub fn receive_exact(&self, buffer: &mut [u8]) -> io::Result<()> {
        (&self.io).read_exact(buffer)
    }

    /// Receives until the other end closes; how many bytes that were.
    pub fn drain(&self) -> io::Result<u64> {
        let mut buffer = vec![0; 64 << 10];
        let mut total = 0;
        loop {
            match self.receive(&mut buffer)? {
                0 => return Ok(total),
                n => total += n as u64,
            }
        }
    }

    /// Sends the FIN; receiving goes on.
    pub fn finish(&self) -> io::Result<()> {
        self.io.shutdown(Shutdown::Write)
    }

    /// How long a read or write may block.
    pub fn set_patience(&self, limit: Duration) -> io::Result<()> {
        self.io.set_read_timeout(Some(limit))?;
        self.io.set_write_timeout(Some(limit))
    }

    /// Reads and writes may block for ever.
    pub fn set_no_limit(&self) -> io::Result<()> {
        self.io.set_read_timeout(None)?;
        self.io.set_write_timeout(None)
    }

    /// Another handle of the same socket, for another thread.
    pub fn another(&self) -> io::Result<Self> {
        Ok(Self { io: self.io.try_clone()? })
    }

    /// Whether there is something to read, or the end, within `limit`.
    pub fn readable(&self, limit: Duration) -> io::Result<bool> {
        self.wait(PollFlags::IN, limit)
    }

    fn wait(&self, events: PollFlags, limit: Duration) -> io::Result<bool> {
        wait(&self.io, events, limit)
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// A service of the guest's, which the host connects to.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Listener {
    /// Listens at `port` with this backlog.
    pub fn bind(port: u32, backlog: u32) -> io::Result<Self> {
        let bound = Self::bound(port)?;
        bound.listen(backlog)?;
        Ok(bound)
    }

    /// Bound to `port`, but not listening.
    pub fn bound(port: u32) -> io::Result<Self> {
        let fd = socket(0)?;
        let family = Family::current();
        let address = Address::new(family, false, port);
        // SAFETY: the pointer and the length are those of one initialised address.
        check(unsafe { libc::bind(fd.as_raw_fd(), address.as_ptr(), Address::len(family)) })?;
        Ok(Self { fd })
    }

    /// A socket that is not even bound.
    pub fn unbound() -> io::Result<Self> {
        Ok(Self { fd: socket(0)? })
    }

    /// Begins to listen.
    pub fn listen(&self, backlog: u32) -> io::Result<()> {
        // SAFETY: listen() takes no pointers.
        check(unsafe { libc::listen(self.fd.as_raw_fd(), backlog as libc::c_int) })
    }

    /// SO_SNDBUF and SO_RCVBUF, from which hv_sock takes the sizes of the rings of the connections that come; the
    /// kernel doubles them.
    pub fn set_buffers(&self, send: libc::c_int, receive: libc::c_int) -> io::Result<()> {
        option(&self.fd, libc::SOL_SOCKET, libc::SO_SNDBUF, &send)?;
        option(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUF, &receive)
    }

    /// The next connection, or `None` when none has come within `limit`.
    pub fn accept(&self, limit: Duration) -> io::Result<Option<Stream>> {
        if !wait(&self.fd, PollFlags::IN, limit)? {
            return Ok(None);
        }
        let (any, len) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: null pointers say that the peer's address is not wanted; the result is checked before it is owned.
        let fd = unsafe { libc::accept4(self.fd.as_raw_fd(), any, len, libc::SOCK_CLOEXEC) };
        check(fd)?;
        // SAFETY: a descriptor the kernel has just given us, and nobody else.
        Stream::new(unsafe { OwnedFd::from_raw_fd(fd) }).map(Some)
    }
}

/// Not in libc (linux/vm_sockets.h, the variant with a `struct timeval`).
const SO_VM_SOCKETS_CONNECT_TIMEOUT: libc::c_int = 6;

fn option<T>(fd: &OwnedFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    // SAFETY: the pointer and the length are those of one initialised value, of the type that the option wants.
    check(unsafe {
        libc::setsockopt(fd.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), size_of::<T>() as u32)
    })
}

fn socket(flags: libc::c_int) -> io::Result<OwnedFd> {
    let family = Family::current();
    // SAFETY: socket() takes no pointers; the result is checked before it is owned.
    let fd = unsafe {
        libc::socket(family.number(), libc::SOCK_STREAM | libc::SOCK_CLOEXEC | flags, family.protocol())
    };
    check(fd)?;
    // SAFETY: a descriptor the kernel has just given us, and nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn wait(fd: &impl AsFd, events: PollFlags, limit: Duration) -> io::Result<bool> {
    let end = Instant::now() + limit;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&fd.as_fd(), events)], Some(&left)) {
            Ok(n) => return Ok(n > 0),
            Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}
