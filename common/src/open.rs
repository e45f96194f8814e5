//! Outcomes of opening a connection.

macro_rules! outcomes {
    ($(#[$doc:meta])* $name:ident, $all:ident, $($(#[$vdoc:meta])* $variant:ident = $label:literal),+ $(,)?) => {
        $(#[$doc])*
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }

        /// Every outcome with its stable name, in order of its number.
        pub const $all: &[($name, &str)] = &[$(($name::$variant, $label)),+];

        impl $name {
            /// The outcome with this number.
            pub const fn from_u32(value: u32) -> Option<Self> {
                if (value as usize) < $all.len() { Some($all[value as usize].0) } else { None }
            }
            /// The stable name.
            pub const fn name(self) -> &'static str {
                $all[self as usize].1
            }
        }
    };
}

outcomes! {
    /// Who asked for the connection.
    Direction, DIRECTIONS,
    /// The host connected to a guest service.
    FromHost = "from_host",
    /// The guest connected to a host service.
    ToHost = "to_host",
}

outcomes! {
    /// How an offered hv_sock channel ended up (`hvs_open_connection`, net/vmw_vsock/hyperv_transport.c).
    OpenResult, OPEN_RESULTS,
    /// Established.
    Ok = "ok",
    /// The service GUID is not one of vsock's.
    NotVsock = "not_vsock",
    /// Nobody is bound to the port, or only in another network namespace.
    NoListener = "no_listener",
    /// The bound socket does not listen (from host), or no longer connects (to host).
    BadState = "bad_state",
    /// The listener's backlog is full: the connection is dropped without a word.
    BacklogFull = "backlog_full",
    /// No memory for the child socket.
    NomemSock = "nomem_sock",
    /// The child did not get the hv_sock transport.
    Transport = "transport",
    /// No contiguous memory for the ring.
    RingEnomem = "ring_enomem",
    /// The host turned the open request down.
    HostRefused = "host_refused",
    /// The host took the channel away while it was being opened.
    Rescinded = "rescinded",
    /// The socket's state changed while it was looked at: bad state or backlog full.
    Ambiguous = "ambiguous",
    /// Anything else.
    Other = "other",
}

outcomes! {
    /// How a guest's connect ended.
    ConnectResult, CONNECT_RESULTS,
    /// Established.
    Ok = "ok",
    /// ETIMEDOUT: the host did not answer in time.
    TimedOut = "timed_out",
    /// ECONNREFUSED or ECONNRESET.
    Refused = "refused",
    /// EINTR or ERESTARTSYS: a signal ended the wait.
    Interrupted = "interrupted",
    /// ENETUNREACH, ENODEV, EHOSTUNREACH: no way to the host.
    Unreachable = "unreachable",
    /// EPERM or EACCES.
    NotPermitted = "not_permitted",
    /// The socket was closed before the outcome was known.
    Abandoned = "abandoned",
    /// Anything else.
    Other = "other",
}
