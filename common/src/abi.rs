//! A fingerprint of every record's layout.

use crate::{
    Call, CallRow, Callbacks, ClosedTotals, Config, ConnRecord, Connecting, CpuCounters, Event, Histogram,
    Hook, Latency, Layout, ListenerRecord, Opening, Phases, PortRecord, Receive, Rings, Send,
};

const fn mix(hash: u64, value: u64) -> u64 {
    (hash ^ value).wrapping_mul(0x0000_0100_0000_01b3)
}

const fn mix_name(mut hash: u64, name: &str) -> u64 {
    let bytes = name.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        hash = mix(hash, bytes[i] as u64);
        i += 1;
    }
    mix(hash, 0x1f)
}

macro_rules! fingerprint {
    ($hash:expr, $($ty:ident { $($field:ident),+ $(,)? })+) => {{
        let mut hash: u64 = $hash;
        $(
            hash = mix_name(hash, stringify!($ty));
            hash = mix(hash, size_of::<$ty>() as u64);
            $(
                hash = mix_name(hash, stringify!($field));
                hash = mix(hash, core::mem::offset_of!($ty, $field) as u64);
            )+
        )+
        hash
    }};
}

const fn names(mut hash: u64) -> u64 {
    let mut i = 0;
    while i < Hook::COUNT {
        hash = mix_name(hash, Hook::ALL[i].name());
        i += 1;
    }
    i = 0;
    while i < Latency::COUNT {
        hash = mix_name(hash, Latency::ALL[i].name());
        i += 1;
    }
    i = 0;
    while i < Layout::FIELDS.len() {
        hash = mix_name(hash, Layout::FIELDS[i]);
        i += 1;
    }
    hash
}

macro_rules! records {
    ($($ty:ident { $($field:ident),+ $(,)? })+) => {
        const FINGERPRINT: u64 = fingerprint!(0xcbf2_9ce4_8422_2325, $($ty { $($field),+ })+);
        // A field that is added must be listed below: these patterns have no `..` and do not compile otherwise.
        $(const _: fn(&$ty) = |value| { let $ty { $($field: _),+ } = value; };)+
    };
}

records! {
    Config { active, events }
    Call { owner, arg, extra }
    CallRow { calls }
    Connecting { begin_ns, pid_tgid, comm, remote_port, local_port }
    Opening { begin_ns, offered_ns, chan, sk, child, lookup_ns, alloc_ns, open_ns, transport_ret, alloc_ret, open_ret, seen, relid,
        direction, local_port, remote_port, sk_state, ack_backlog, max_ack_backlog, slot_taken, result, pad }
    ConnRecord { seq, sk, chan, state, flags, relid, direction, local_port, remote_port, pid, max_ack_backlog, comm, service, instance,
        listener, begin_ns, opened_ns, queued_ns, released_ns, rescinded_ns, freed_ns, rings, phases, tx, rx, callbacks, now_out_used, now_in_used, fd, owner_pass}
    Rings { out_header, in_header, out_size, in_size, pages, unread_at_rescind }
    Phases { connect_ns, offer_to_probe_ns, lookup_ns, ring_alloc_ns, host_open_ns, other_open_ns, accept_wait_ns, first_byte_ns, close_ns }
    Send { bytes, packets, calls, short_writes, eagain, failed_writes, stalls, stall_ns, stalled_since, used, max_used, invalid,
        last_error, occupancy, tight, stalled_by, pad }
    Receive { bytes, packets, calls, waits, wait_ns, waiting_since, waiting_by, errors, last_error }
    Callbacks { count, run_ns, begin_ns, interrupt_ns, used, max_used, invalid, pad, occupancy, pad2 }
    Histogram { count, sum, not_min, max, buckets }
    CpuCounters { accounting, opens, connects, connects_ok, connects_late_timed_out, connects_abandoned, ends_missed, closes, closed,
        callback_sk, recent_relid, pad, accepted, never_accepted, bind_not_permitted, sockets_not_permitted, host_refusals, teardown_failures, latency, reserved }
    ListenerRecord { port, backlog, max_backlog, peak_backlog, gone, pid, fd, pass, comm }
    PortRecord { opens, connects, accepted, never_accepted, max_ack_backlog, ack_backlog, peak_ack_backlog, pad, sk, closed }
    ClosedTotals { connections, tx_bytes, tx_packets, rx_bytes, rx_packets, callbacks, stalls, stall_ns, eagain, short_writes, failed_writes,
        ring_invalid, wait_ns }
    Event { time_ns, kind, detail, error, pid, reserved, record }
}

/// Changes whenever a record, the list of hooks, of histograms or of kernel fields changes. The eBPF object carries its own copy as the
/// global `HVSOCK_ABI`; a loader that finds another number there refuses the object.
pub const ABI: u64 = names(FINGERPRINT);
