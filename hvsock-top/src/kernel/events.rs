//! The events of the probe plan, for both families. This is data; `plan` says what it means.

use hvsock_common::Hook;

use super::{
    Family,
    plan::{Attach, Candidate, Event, Step},
};

/// A function of vsock's or hv_sock's.
const fn at(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::Function, family: Some(Family::Vsock) }
}

/// A function of AF_HYPERV's.
const fn hv(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::Function, family: Some(Family::AfHyperv) }
}

/// A function of hv_vmbus's.
const fn bus(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::Function, family: None }
}

/// A tracepoint of hv_vmbus's that may come in the middle of others.
const fn raw_tracepoint(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::RawTracepoint, family: None }
}

const fn tracepoint(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::Tracepoint { category: "hyperv" }, family: None }
}

/// Fields that lead from a socket to its slot.
const SOCKET: &[&str] = &["vsk_trans", "hvs_chan", "chan_relid"];
const SOCKET_CALL: &[&str] = &["vsk_trans", "hvs_chan", "chan_relid", "socket_sk"];

/// All events. The order is the order of attaching: an event that begins something comes after those that could happen inside it, so that
/// nothing is seen by halves.
pub const EVENTS: &[Event] = &[
    Event {
        hook: Hook::Freed,
        step: Step::Entry,
        candidates: &[at("hvs_destruct"), hv("hvsock_sk_destruct")],
        needs: SOCKET,
        required: true,
    },
    Event {
        hook: Hook::Rescind,
        step: Step::Entry,
        candidates: &[at("hvs_close_connection"), hv("hvsock_close_connection")],
        needs: &[
            "chan_relid",
            "vsk_trans",
            "hvs_recv_desc",
            "hvs_recv_off",
            "ring_write_index",
            "chan_in_priv_read",
        ],
        required: false,
    },
    Event {
        hook: Hook::CloseTimeout,
        step: Step::Entry,
        candidates: &[at("hvs_close_timeout")],
        needs: &["vsk_close_work", "vsk_trans", "hvs_chan", "chan_relid"],
        required: false,
    },
    Event {
        hook: Hook::Release,
        step: Step::Entry,
        candidates: &[at("hvs_release"), hv("hvsock_release_internal")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::Callback,
        step: Step::Both,
        candidates: &[at("hvs_channel_cb"), hv("hvsock_on_channel_cb")],
        needs: &["vsk_trans", "hvs_chan", "chan_relid", "ring_write_index", "chan_in_priv_read"],
        required: false,
    },
    Event {
        hook: Hook::Interrupt,
        step: Step::Entry,
        candidates: &[raw_tracepoint("vmbus_chan_sched")],
        needs: &["chan_relid"],
        required: false,
    },
    Event {
        hook: Hook::RingWrite,
        step: Step::Return,
        candidates: &[bus("vmbus_sendpacket")],
        needs: &["chan_relid", "ring_write_index", "chan_out_header", "chan_out_size"],
        required: false,
    },
    Event {
        hook: Hook::Enqueue,
        step: Step::Return,
        candidates: &[at("hvs_stream_enqueue"), hv("hvsock_send_data")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendBlock,
        step: Step::Entry,
        candidates: &[at("hvs_notify_send_pre_block"), hv("hvsock_sendmsg_wait")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendReady,
        step: Step::Entry,
        candidates: &[at("hvs_notify_send_pre_enqueue"), hv("hvsock_send_data")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendEnd,
        step: Step::Return,
        candidates: &[at("vsock_connectible_sendmsg"), at("vsock_stream_sendmsg"), hv("hvsock_sendmsg")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::Dequeue,
        step: Step::Return,
        candidates: &[at("hvs_stream_dequeue"), hv("hvsock_recv_data")],
        needs: &["vsk_trans", "hvs_chan", "chan_relid", "hvs_recv_desc", "hvs_recv_off"],
        required: false,
    },
    Event {
        hook: Hook::RecvBlock,
        step: Step::Entry,
        candidates: &[at("hvs_notify_recv_pre_block"), hv("hvsock_recvmsg_wait")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::RecvEnd,
        step: Step::Return,
        candidates: &[at("vsock_connectible_recvmsg"), at("vsock_stream_recvmsg"), hv("hvsock_recvmsg")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::Accept,
        step: Step::Return,
        candidates: &[at("vsock_accept"), hv("hvsock_accept")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::AcceptQueue,
        step: Step::Entry,
        candidates: &[at("vsock_enqueue_accept"), hv("hvsock_enqueue_accept")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Established,
        step: Step::Entry,
        candidates: &[at("vsock_insert_connected"), hv("hvsock_insert_connected")],
        needs: &[
            "vsk_local_port",
            "vsk_remote_port",
            "chan_out_header",
            "chan_out_size",
            "chan_in_header",
            "chan_in_size",
        ],
        required: true,
    },
    Event {
        hook: Hook::HostOpen,
        step: Step::Both,
        candidates: &[bus("vmbus_open")],
        needs: &["chan_if_type", "chan_if_instance"],
        required: false,
    },
    Event {
        hook: Hook::RingAlloc,
        step: Step::Both,
        candidates: &[bus("vmbus_alloc_ring")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Transport,
        step: Step::Both,
        candidates: &[at("vsock_assign_transport")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Create,
        step: Step::Both,
        candidates: &[at("vsock_create_connected"), at("__vsock_create"), hv("hvsock_create_sock")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Lookup,
        step: Step::Both,
        candidates: &[
            at("vsock_find_bound_socket"),
            at("vsock_find_bound_socket_net"),
            hv("hvsock_find_bound_socket"),
        ],
        needs: &["sk_state", "sk_ack_backlog", "sk_max_ack_backlog"],
        required: false,
    },
    Event {
        hook: Hook::Open,
        step: Step::Both,
        candidates: &[at("hvs_probe"), hv("hvsock_probe")],
        needs: &["device_channel", "chan_relid", "chan_user_def", "chan_if_type", "chan_if_instance"],
        required: true,
    },
    Event {
        hook: Hook::Offer,
        step: Step::Entry,
        candidates: &[bus("vmbus_onoffer")],
        needs: &["chan_offermsg", "chan_relid", "chan_flags"],
        required: false,
    },
    Event {
        hook: Hook::Bind,
        step: Step::Return,
        candidates: &[at("vsock_bind"), hv("hvsock_bind")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Socket,
        step: Step::Both,
        candidates: &[hv("hvsock_create")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Teardown,
        step: Step::Entry,
        // The function's own result is that of giving the pages back to the guest, whatever the host said.
        candidates: &[tracepoint("vmbus_teardown_gpadl")],
        needs: &["tp_teardown_ret"],
        required: false,
    },
    Event {
        hook: Hook::HostMessage,
        step: Step::Entry,
        candidates: &[tracepoint("vmbus_on_msg_dpc")],
        needs: &["tp_msg_type"],
        required: false,
    },
    Event {
        hook: Hook::ConnectTimeout,
        step: Step::Entry,
        candidates: &[at("vsock_connect_timeout"), hv("hvsock_connect_timeout")],
        needs: &["vsk_connect_work"],
        required: false,
    },
    Event {
        hook: Hook::ConnectEnd,
        step: Step::Return,
        candidates: &[at("vsock_connect"), at("vsock_stream_connect"), hv("hvsock_connect")],
        needs: &["socket_sk"],
        required: false,
    },
    Event {
        hook: Hook::Connect,
        step: Step::Entry,
        candidates: &[at("hvs_connect"), hv("hvsock_connect_request")],
        needs: &["vsk_local_port", "vsk_remote_port"],
        required: false,
    },
    Event {
        hook: Hook::Inventory,
        step: Step::Entry,
        candidates: &[Candidate { symbol: "bpf_iter_task_file", attach: Attach::Iterator, family: None }],
        needs: &[
            "file_inode",
            "inode_mode",
            "file_private",
            "socket_file",
            "socket_sk",
            "sk_family",
            "sk_state",
            "sk_flags",
            "sk_ack_backlog",
            "sk_max_ack_backlog",
            "vsk_local_port",
            "task_tgid",
            "task_comm",
            "iter_session",
        ],
        required: false,
    },
];
