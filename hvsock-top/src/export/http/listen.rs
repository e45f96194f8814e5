//! Where the server listens: TCP, and vsock for the host.

use std::{
    fmt,
    io::{self, ErrorKind},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use tokio::{net::TcpListener, time};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

use super::connections::Connections;

/// How long to wait when a connection could not be accepted for want of something.
const PAUSE: Duration = Duration::from_millis(100);

/// Ports below this one are not for everybody.
const FREE_PORTS: u32 = 1024;

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// An address and port of TCP.
    Tcp(SocketAddr),
    /// A port of AF_VSOCK, for whatever may reach it: the host.
    Vsock(u32),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = "not an address; write it like 127.0.0.1:9464, [::1]:9464 or vsock:9464";
        match text.strip_prefix("vsock:") {
            Some(port) => match port.parse() {
                // The last means any port.
                Ok(port) if port < u32::MAX => Ok(Self::Vsock(port)),
                _ => Err(wanted.to_owned()),
            },
            None => text.parse().map(Self::Tcp).map_err(|_| wanted.to_owned()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Vsock(port) => write!(f, "vsock:{port}"),
        }
    }
}

/// An address that cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", self.reason())]
pub struct ListenError {
    address: Address,
    error: io::Error,
}

impl ListenError {
    /// Whether more privilege would help.
    pub fn is_privilege(&self) -> bool {
        self.error.kind() == ErrorKind::PermissionDenied
    }

    fn reason(&self) -> String {
        match (self.error.kind(), self.address) {
            (ErrorKind::AddrInUse, _) => "another program listens there".to_owned(),
            (ErrorKind::AddrNotAvailable, Address::Tcp(_)) => "this machine has no such address".to_owned(),
            (ErrorKind::PermissionDenied, _) if self.port() < FREE_PORTS => {
                format!("ports below {FREE_PORTS} need CAP_NET_BIND_SERVICE")
            }
            _ if self.is_unsupported() => match self.address {
                Address::Vsock(_) => "vsock is not available on this kernel".to_owned(),
                Address::Tcp(_) => "this kernel has no such protocol".to_owned(),
            },
            _ => self.error.to_string(),
        }
    }

    /// What to do about it.
    pub fn remedy(&self) -> String {
        match (self.error.kind(), self.address) {
            (ErrorKind::AddrInUse, Address::Tcp(address)) => format!(
                "choose another port with --listen; `ss -ltnp 'sport = :{}'` says who has this one",
                address.port()
            ),
            (ErrorKind::AddrInUse, Address::Vsock(_)) => {
                "choose another port with --listen; `ss --vsock -lp` says who has this one".to_owned()
            }
            (ErrorKind::AddrNotAvailable, _) => {
                "`ip address` lists those it has; 0.0.0.0 or [::] stands for all of them".to_owned()
            }
            (ErrorKind::PermissionDenied, _) if self.port() < FREE_PORTS => {
                format!("choose a port from {FREE_PORTS} on with --listen, or run it as root")
            }
            _ if self.is_unsupported() => match self.address {
                Address::Vsock(_) => {
                    "load its module (`modprobe hv_sock`), or listen on TCP: --listen 127.0.0.1:9464"
                        .to_owned()
                }
                Address::Tcp(_) => "listen on 127.0.0.1:9464".to_owned(),
            },
            _ => "choose another address with --listen".to_owned(),
        }
    }

    fn is_unsupported(&self) -> bool {
        let unsupported =
            [libc::EAFNOSUPPORT, libc::EPFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT];
        self.error.raw_os_error().is_some_and(|errno| unsupported.contains(&errno))
    }

    fn port(&self) -> u32 {
        match self.address {
            Address::Tcp(address) => address.port().into(),
            Address::Vsock(port) => port,
        }
    }
}

/// A socket that listens.
pub(super) enum Socket {
    Tcp(TcpListener),
    Vsock(VsockListener),
}

impl Socket {
    /// Listens; inside a runtime.
    pub(super) fn bind(address: &Address) -> Result<Self, ListenError> {
        let bound = match *address {
            Address::Tcp(at) => tcp(at).map(Self::Tcp),
            Address::Vsock(port) => {
                VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, port)).map(Self::Vsock)
            }
        };
        bound.map_err(|error| ListenError { address: *address, error })
    }

    /// Where it listens, with the port that the kernel chose when none was asked for.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Tcp(listener) => {
                listener.local_addr().map_or_else(|e| e.to_string(), |address| format!("http://{address}"))
            }
            Self::Vsock(listener) => {
                listener.local_addr().map_or_else(|e| e.to_string(), |a| format!("vsock:{}", a.port()))
            }
        }
    }

    /// Accepts for ever.
    pub(super) async fn accept(self, connections: Connections) {
        loop {
            let result = match &self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| connections.add(stream)),
                Self::Vsock(listener) => listener.accept().await.map(|(stream, _)| connections.add(stream)),
            };
            // The client may have gone, or we have no descriptor left; neither is a reason to end.
            if result.is_err() {
                time::sleep(PAUSE).await;
            }
        }
    }
}

/// A listener of the standard library, which sets SO_REUSEADDR: a restart need not wait.
fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        for text in ["127.0.0.1:9464", "[::1]:0", "vsock:9464", "vsock:0"] {
            assert_eq!(text.parse::<Address>().map(|a| a.to_string()), Ok(text.to_owned()));
        }
        for text in
            ["", "localhost:9464", "127.0.0.1", "9464", ":9464", "vsock:", "vsock:-1", "vsock:4294967295"]
        {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        assert!("127.0.0.1:65536".parse::<Address>().is_err());
    }
}
