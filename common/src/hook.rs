//! The logical events: each is one place in hv_sock's life, whatever probe serves it.

macro_rules! hooks {
    ($($(#[$doc:meta])* $variant:ident = $name:literal),+ $(,)?) => {
        /// A logical event. The number is the index of its accounting and its bit in `Config::active`.
        #[repr(u32)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Hook { $($(#[$doc])* $variant),+ }

        impl Hook {
            /// Every hook, in order of its number.
            pub const ALL: &'static [Hook] = &[$(Hook::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();
            /// The stable name used in JSON, metrics and on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(Hook::$variant => $name),+ }
            }
        }
    };
}

hooks! {
    /// An hv_sock offer arrived (`vmbus_onoffer`).
    Offer = "offer",
    /// The open path, entry to exit (`hvs_probe`).
    Open = "open",
    /// The bound-socket lookup inside an open (`vsock_find_bound_socket`).
    Lookup = "lookup",
    /// The child socket is made (`vsock_create_connected`).
    Create = "create",
    /// The child gets its transport (`vsock_assign_transport`).
    Transport = "transport",
    /// The ring's memory is allocated (`vmbus_alloc_ring`).
    RingAlloc = "ring_alloc",
    /// The host is asked to open the channel and answers (`vmbus_open`).
    HostOpen = "host_open",
    /// The connection is established (`vsock_insert_connected`).
    Established = "established",
    /// A child waits to be accepted (`vsock_enqueue_accept`).
    AcceptQueue = "accept_queue",
    /// A child is accepted (`vsock_accept`).
    Accept = "accept",
    /// The guest asks for a connection (`hvs_connect`).
    Connect = "connect",
    /// The guest's connect call ends (`vsock_connect`).
    ConnectEnd = "connect_end",
    /// The channel callback (`hvs_channel_cb`).
    Callback = "callback",
    /// A packet is handed to the channel, and written into its ring (`vmbus_sendpacket`).
    RingWrite = "ring_write",
    /// Payload goes into the out ring (`hvs_stream_enqueue`).
    Enqueue = "enqueue",
    /// Payload comes out of the in ring (`hvs_stream_dequeue`).
    Dequeue = "dequeue",
    /// A send call ends (`vsock_connectible_sendmsg`).
    SendEnd = "send_end",
    /// A sender finds the ring full and is about to wait (`hvs_notify_send_pre_block`).
    SendBlock = "send_block",
    /// A sender has room (`hvs_notify_send_pre_enqueue`).
    SendReady = "send_ready",
    /// A reader finds nothing and is about to wait (`hvs_notify_recv_pre_block`).
    RecvBlock = "recv_block",
    /// The guest closes (`hvs_release`).
    Release = "release",
    /// The host takes the channel away (`hvs_close_connection`).
    Rescind = "rescind",
    /// The guest gave up waiting for the host to close (`hvs_close_timeout`).
    CloseTimeout = "close_timeout",
    /// The socket's transport part is freed (`hvs_destruct`).
    Freed = "freed",
    /// A channel's event reaches the guest (`vmbus_chan_sched`), before the callback.
    Interrupt = "interrupt",
    /// A receive call ends (`vsock_connectible_recvmsg`).
    RecvEnd = "recv_end",
    /// A guest connect gave up (`vsock_connect_timeout`).
    ConnectTimeout = "connect_timeout",
    /// A port is bound, or refused (`vsock_bind`).
    Bind = "bind",
    /// A host message that only newer guests know (`vmbus_on_msg_dpc`, msgtype 23).
    HostMessage = "host_message",
    /// The host was asked to give a ring back (`hyperv:vmbus_teardown_gpadl`).
    Teardown = "teardown",
    /// An open file, looked at by the inventory of what was there before the probes (iterator `task_file`).
    Inventory = "inventory",
    /// A socket is asked for, or refused (`hvsock_create` of AF_HYPERV; vsock refuses nobody).
    Socket = "socket",
}

impl Hook {
    /// This hook's bit in `Config::active`.
    pub const fn bit(self) -> u64 {
        1 << self as u32
    }

    /// The number of arguments of the function, for the hooks where every instruction counts: a trampoline keeps the result behind the last of
    /// them, and to read it there is a tenth of asking for it. The loader makes sure that the kernel's function has as many.
    pub const fn arguments(self) -> Option<usize> {
        match self {
            Self::RingWrite => Some(6),
            Self::Enqueue | Self::SendEnd => Some(3),
            Self::Dequeue | Self::RecvEnd => Some(4),
            _ => None,
        }
    }
}

/// What became of one event a hook saw. Each event has exactly one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is in the records.
    Recorded,
    /// It was not hv_sock's, or there was nothing in it to count.
    Filtered,
    /// It is in the records, but the lifecycle event found the ring buffer full.
    RingFull,
    /// A map had no room for it.
    MapFull,
    /// Kernel memory could not be read, or what was read cannot be true.
    Faulted,
}

const _: () = assert!(Hook::COUNT <= 64, "Config::active has 64 bits");
