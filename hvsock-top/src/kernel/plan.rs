//! The probe plan: for every logical event, where it can be seen, what must be known to make sense of it, and whether the tool is blind
//! without it. This is data; `load` carries it out.

use hvsock_common::Hook;

use super::Symbols;

/// Which ends of a function an event needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Its entry.
    Entry,
    /// Its return, with its arguments.
    Return,
    /// Both.
    Both,
}

/// How to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A BPF trampoline, else a kprobe, on the function.
    Function,
    /// A tracepoint `category:name`; the candidate's symbol is the name.
    Tracepoint {
        /// Its category.
        category: &'static str,
    },
    /// A BPF iterator; the candidate's symbol is its function in the kernel image. It runs when the reader wants it to.
    Iterator,
}

/// One way to see an event.
#[derive(Clone, Copy, Debug)]
pub struct Candidate {
    /// Function, or tracepoint.
    pub symbol: &'static str,
    /// How.
    pub attach: Attach,
}

/// A logical event.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// Which.
    pub hook: Hook,
    /// Which ends.
    pub step: Step,
    /// Where, best first.
    pub candidates: &'static [Candidate],
    /// Fields of `hvsock_common::Layout` that its handler reads.
    pub needs: &'static [&'static str],
    /// Without it nothing can be said about connections at all.
    pub required: bool,
}

const fn at(symbol: &'static str) -> Candidate {
    Candidate { symbol, attach: Attach::Function }
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
        candidates: &[at("hvs_destruct")],
        needs: SOCKET,
        required: true,
    },
    Event {
        hook: Hook::Rescind,
        step: Step::Entry,
        candidates: &[at("hvs_close_connection")],
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
        candidates: &[at("hvs_release")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::Callback,
        step: Step::Both,
        candidates: &[at("hvs_channel_cb")],
        needs: &["vsk_trans", "hvs_chan", "chan_relid", "ring_write_index", "chan_in_priv_read"],
        required: false,
    },
    Event {
        hook: Hook::Interrupt,
        step: Step::Entry,
        candidates: &[Candidate {
            symbol: "vmbus_chan_sched",
            attach: Attach::Tracepoint { category: "hyperv" },
        }],
        needs: &["tp_chan_sched_relid"],
        required: false,
    },
    Event {
        hook: Hook::RingWrite,
        step: Step::Return,
        candidates: &[at("vmbus_sendpacket")],
        needs: &["chan_relid", "ring_write_index", "chan_out_header", "chan_out_size"],
        required: false,
    },
    Event {
        hook: Hook::Enqueue,
        step: Step::Return,
        candidates: &[at("hvs_stream_enqueue")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendBlock,
        step: Step::Entry,
        candidates: &[at("hvs_notify_send_pre_block")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendReady,
        step: Step::Entry,
        candidates: &[at("hvs_notify_send_pre_enqueue")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::SendEnd,
        step: Step::Return,
        candidates: &[at("vsock_connectible_sendmsg"), at("vsock_stream_sendmsg")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::Dequeue,
        step: Step::Return,
        candidates: &[at("hvs_stream_dequeue")],
        needs: &["vsk_trans", "hvs_chan", "chan_relid", "hvs_recv_desc", "hvs_recv_off"],
        required: false,
    },
    Event {
        hook: Hook::RecvBlock,
        step: Step::Entry,
        candidates: &[at("hvs_notify_recv_pre_block")],
        needs: SOCKET,
        required: false,
    },
    Event {
        hook: Hook::RecvEnd,
        step: Step::Return,
        candidates: &[at("vsock_connectible_recvmsg"), at("vsock_stream_recvmsg")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::Accept,
        step: Step::Return,
        candidates: &[at("vsock_accept")],
        needs: SOCKET_CALL,
        required: false,
    },
    Event {
        hook: Hook::AcceptQueue,
        step: Step::Entry,
        candidates: &[at("vsock_enqueue_accept")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Established,
        step: Step::Entry,
        candidates: &[at("vsock_insert_connected")],
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
        candidates: &[at("vmbus_open")],
        needs: &["chan_if_type", "chan_if_instance"],
        required: false,
    },
    Event {
        hook: Hook::RingAlloc,
        step: Step::Both,
        candidates: &[at("vmbus_alloc_ring")],
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
        candidates: &[at("vsock_create_connected"), at("__vsock_create")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Lookup,
        step: Step::Both,
        candidates: &[at("vsock_find_bound_socket"), at("vsock_find_bound_socket_net")],
        needs: &["sk_state", "sk_ack_backlog", "sk_max_ack_backlog"],
        required: false,
    },
    Event {
        hook: Hook::Open,
        step: Step::Both,
        candidates: &[at("hvs_probe")],
        needs: &["device_channel", "chan_relid", "chan_user_def", "chan_if_type", "chan_if_instance"],
        required: true,
    },
    Event {
        hook: Hook::Offer,
        step: Step::Entry,
        candidates: &[at("vmbus_onoffer")],
        needs: &["chan_offermsg", "chan_relid", "chan_flags"],
        required: false,
    },
    Event {
        hook: Hook::Bind,
        step: Step::Return,
        candidates: &[at("vsock_bind")],
        needs: &[],
        required: false,
    },
    Event {
        hook: Hook::Teardown,
        step: Step::Entry,
        // The function's own result is that of giving the pages back to the guest, whatever the host said.
        candidates: &[Candidate {
            symbol: "vmbus_teardown_gpadl",
            attach: Attach::Tracepoint { category: "hyperv" },
        }],
        needs: &["tp_teardown_ret"],
        required: false,
    },
    Event {
        hook: Hook::HostMessage,
        step: Step::Entry,
        candidates: &[Candidate {
            symbol: "vmbus_on_msg_dpc",
            attach: Attach::Tracepoint { category: "hyperv" },
        }],
        needs: &["tp_msg_type"],
        required: false,
    },
    Event {
        hook: Hook::ConnectTimeout,
        step: Step::Entry,
        candidates: &[at("vsock_connect_timeout")],
        needs: &["vsk_connect_work"],
        required: false,
    },
    Event {
        hook: Hook::ConnectEnd,
        step: Step::Return,
        candidates: &[at("vsock_connect"), at("vsock_stream_connect")],
        needs: &["socket_sk"],
        required: false,
    },
    Event {
        hook: Hook::Connect,
        step: Step::Entry,
        candidates: &[at("hvs_connect")],
        needs: &["vsk_local_port", "vsk_remote_port"],
        required: false,
    },
    Event {
        hook: Hook::Inventory,
        step: Step::Entry,
        candidates: &[Candidate { symbol: "bpf_iter_task_file", attach: Attach::Iterator }],
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

/// The variable that holds the VMBus protocol version.
pub(super) const VMBUS_VERSION: &str = "vmbus_proto_version";

/// Whether any event wants this symbol, or the facts do.
pub(super) fn wants(symbol: &str) -> bool {
    symbol == VMBUS_VERSION || EVENTS.iter().any(|event| event.functions().any(|name| name == symbol))
}

/// Every function that some event could sit on.
pub(super) fn functions() -> impl Iterator<Item = &'static str> {
    EVENTS.iter().flat_map(Event::functions)
}

/// Whether every event that sits on a function has one in `symbols`.
pub(super) fn is_served(symbols: &Symbols) -> bool {
    EVENTS.iter().all(|event| {
        let mut functions = event.functions().peekable();
        functions.peek().is_none() || functions.any(|name| symbols.has(name))
    })
}

/// The programs' names, or those of their empty twins: the part before the first underscore is the kind of program.
pub(super) fn names_of(names: Vec<String>, empty: bool) -> Vec<String> {
    if !empty {
        return names;
    }
    names.iter().map(|name| format!("{}_empty", name.split('_').next().unwrap_or_default())).collect()
}

impl Event {
    /// The functions it could sit on.
    fn functions(&self) -> impl Iterator<Item = &'static str> {
        self.candidates.iter().filter(|c| c.attach == Attach::Function).map(|c| c.symbol)
    }

    /// Names of the programs that serve this event with trampolines.
    pub fn trampolines(&self) -> Vec<String> {
        let name = self.hook.name();
        match self.step {
            Step::Entry => vec![format!("fe_{name}")],
            Step::Return => vec![format!("fx_{name}")],
            Step::Both => vec![format!("fe_{name}"), format!("fx_{name}")],
        }
    }

    /// Names of the programs that serve it with kprobes, in the order in which they are attached. Where an entry without its return would be noted
    /// for ever, the return comes first. Where a return without its entry would pass for one that was missed, the entry does.
    pub fn kprobes(&self) -> Vec<String> {
        let name = self.hook.name();
        match self.step {
            Step::Entry => vec![format!("kp_{name}")],
            Step::Return => vec![format!("kp_{name}"), format!("kr_{name}")],
            Step::Both => vec![format!("kr_{name}"), format!("kp_{name}")],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use hvsock_common::Layout;

    use super::*;

    #[test]
    fn no_event_is_planned_twice_and_every_need_is_a_field() {
        let mut seen = BTreeSet::new();
        for event in EVENTS {
            assert!(seen.insert(event.hook), "{:?}", event.hook);
            assert!(!event.candidates.is_empty());
            for need in event.needs {
                assert!(Layout::FIELDS.contains(need), "{need}");
            }
        }
    }

    #[test]
    fn empty_programs_are_of_the_same_kinds() {
        let names = vec!["kr_send_end".to_owned(), "kp_send_end".to_owned()];
        assert_eq!(names_of(names.clone(), true), ["kr_empty", "kp_empty"]);
        assert_eq!(names_of(names.clone(), false), names);
    }

    #[test]
    fn one_function_of_each_event_is_enough_and_none_is_not() {
        let known = |without: Option<Hook>| {
            let first =
                EVENTS.iter().filter(|e| Some(e.hook) != without).filter_map(|e| e.functions().last());
            let lines: Vec<_> = first.map(|name| format!("0 t {name}")).collect();
            Symbols::parse(&lines.join("\n"), |_| true)
        };
        assert!(is_served(&known(None)));
        assert!(!is_served(&known(Some(Hook::Create))));
        assert!(is_served(&known(Some(Hook::Interrupt))), "it sits on a tracepoint");
    }

    #[test]
    fn the_open_is_attached_after_all_that_happens_inside_it() {
        let at = |hook| EVENTS.iter().position(|e| e.hook == hook);
        for inside in
            [Hook::Lookup, Hook::Create, Hook::Transport, Hook::RingAlloc, Hook::HostOpen, Hook::Established]
        {
            assert!(at(inside) < at(Hook::Open), "{inside:?}");
        }
    }
}
