//! From a record to what the Snapshot says of the connection.

use hvsock_common::{ConnRecord, Hook, State as Stage, UNKNOWN, flag};

use super::{
    clock::Moment,
    guid, name,
    together::{CLOSE, FIRST_BYTE, STALL, WAIT},
    untold::{NO_PORT, UNTOLD},
};
use crate::model::{
    Callbacks, Connection, ConnectionLatency, Direction, InRing, OutRing, Received, Rings, Sent, State,
};

/// What is known of the whole: which events are seen (what depends on others is unknown), and what the family leaves unused.
#[derive(Clone, Copy)]
pub(super) struct Sight {
    /// One bit for each hook that is attached.
    pub hooks: u64,
    /// Bytes of an out ring that stay unused.
    pub ring_reserve: u32,
}

impl Sight {
    fn of(self, hook: Hook) -> bool {
        self.hooks & hook.bit() != 0
    }

    fn of_all(self, hooks: &[Hook]) -> bool {
        hooks.iter().all(|hook| self.of(*hook))
    }

    fn if_seen<T>(self, hook: Hook, value: T) -> Option<T> {
        self.of(hook).then_some(value)
    }
}

/// A time or duration that may not have been measured.
pub(super) fn known(ns: u64) -> Option<u64> {
    (ns != UNKNOWN).then_some(ns)
}

/// What the Snapshot says of one record.
pub(super) fn describe(record: &ConnRecord, moment: &Moment, sight: Sight, epoch: u32) -> Connection {
    let inherited = record.flags & flag::INHERITED != 0;
    let since = known(record.opened_ns);
    let (pid, comm) = owner(record);
    Connection {
        id: id(record, epoch),
        relid: record.relid,
        direction: (record.direction != UNTOLD).then(|| direction(record.direction)),
        local_port: port(record.local_port),
        remote_port: port(record.remote_port),
        service_guid: guid::text(&record.service),
        state: state(record.state),
        pid,
        comm,
        fd: pid.and_then(|_| u32::try_from(record.fd).ok()),
        opened_at: since.and_then(|ns| moment.wall_of(ns)),
        age_ns: since.map(|ns| moment.ns.saturating_sub(ns)),
        ending_for_ns: ended(record).map(|ns| moment.ns.saturating_sub(ns)),
        known_since_start: !inherited,
        tx: sent(record, moment, sight),
        rx: received(record, moment, sight),
        callbacks: Callbacks {
            count: sight.if_seen(Hook::Callback, record.callbacks.count),
            run_ns: sight.if_seen(Hook::Callback, record.callbacks.run_ns),
        },
        rings: rings(record, sight),
        latency: latency(record, sight),
    }
}

/// When one side ended it.
fn ended(record: &ConnRecord) -> Option<u64> {
    match state(record.state) {
        Some(State::Closing) => known(record.released_ns),
        Some(State::Rescinded) => known(record.rescinded_ns),
        _ => None,
    }
}

/// Never used twice while the tool runs: the slot, and how many connections it has had. The sequence number grows by two when a
/// connection takes the slot and by two when it leaves, so it is told the same from a live record and from the last one.
pub(super) fn id(record: &ConnRecord, epoch: u32) -> String {
    let generation = generation(record.seq);
    if epoch == 0 {
        format!("{}-{generation}", record.relid)
    } else {
        // The slots began anew when hv_sock was loaded again.
        format!("{}-{generation}-{epoch}", record.relid)
    }
}

/// How many connections the slot has had, by its sequence number while it holds one or when it has just held one.
pub(super) fn generation(seq: u64) -> u64 {
    (seq + 2) / 4
}

pub(super) fn direction(number: u32) -> Direction {
    if number == hvsock_common::Direction::FromHost as u32 { Direction::FromHost } else { Direction::ToHost }
}

fn port(number: u32) -> Option<u32> {
    (number != NO_PORT).then_some(number)
}

fn state(number: u32) -> Option<State> {
    Some(match Stage::from_u32(number) {
        Some(Stage::Opening) => State::Opening,
        Some(Stage::Established) => State::Established,
        Some(Stage::Closing) => State::Closing,
        Some(Stage::Rescinded) => State::Rescinded,
        None if number == UNTOLD => return None,
        Some(Stage::Free) | None => State::Closed,
    })
}

/// The process that connected or accepted, as far as it is known.
pub(super) fn owner(record: &ConnRecord) -> (Option<u32>, Option<String>) {
    if record.pid == 0 {
        return (None, None);
    }
    (Some(record.pid), name::of(&record.comm))
}

/// How long a wait that began at `since` (0: none) has lasted. One that began while the records were being read, after `moment`, is not
/// told as none.
fn lasting(since: u64, moment: &Moment) -> u64 {
    if since == 0 { 0 } else { moment.ns.saturating_sub(since).max(1) }
}

fn sent(record: &ConnRecord, moment: &Moment, sight: Sight) -> Sent {
    let tx = &record.tx;
    let stalls = sight.of_all(STALL);
    // A stall that ends by time-out is EAGAIN as well, and not meant.
    let eagain = sight.of(Hook::SendBlock) && sight.of(Hook::SendEnd);
    Sent {
        bytes: sight.if_seen(Hook::Enqueue, tx.bytes),
        packets: sight.if_seen(Hook::RingWrite, tx.packets),
        calls: sight.if_seen(Hook::Enqueue, tx.calls),
        short_writes: sight.if_seen(Hook::Enqueue, tx.short_writes),
        eagain: eagain.then_some(tx.eagain),
        failed_writes: sight.if_seen(Hook::RingWrite, tx.failed_writes),
        stalls: stalls.then_some(tx.stalls),
        stall_ns: stalls.then_some(tx.stall_ns),
        stalled_for_ns: stalls.then(|| lasting(tx.stalled_since, moment)),
        last_error: sight.if_seen(Hook::SendEnd, errno(tx.last_error)),
    }
}

fn received(record: &ConnRecord, moment: &Moment, sight: Sight) -> Received {
    let rx = &record.rx;
    let waits = sight.of_all(WAIT);
    Received {
        bytes: sight.if_seen(Hook::Dequeue, rx.bytes),
        packets: sight.if_seen(Hook::Dequeue, rx.packets),
        calls: sight.if_seen(Hook::Dequeue, rx.calls),
        waits: waits.then_some(rx.waits),
        wait_ns: waits.then_some(rx.wait_ns),
        waiting_for_ns: waits.then(|| lasting(rx.waiting_since, moment)),
        errors: sight.if_seen(Hook::RecvEnd, rx.errors),
        last_error: sight.if_seen(Hook::RecvEnd, errno(rx.last_error as u32).into()),
    }
}

/// What the caller of a system call gets to see. Between the kernel's own functions a call that a signal ended may say that it wants to be
/// restarted: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK (include/linux/errno.h).
pub(super) fn errno(error: u32) -> u32 {
    if matches!(error, 512..=514 | 516) { libc::EINTR as u32 } else { error }
}

/// A size or level that is zero or all ones when unknown.
fn size(bytes: u32) -> Option<u32> {
    (bytes != 0).then_some(bytes)
}

fn level(bytes: u32) -> Option<u32> {
    (bytes != u32::MAX).then_some(bytes)
}

fn rings(record: &ConnRecord, sight: Sight) -> Rings {
    let pages = u64::from(record.rings.pages);
    let order = (pages > 0).then(|| pages.next_power_of_two().trailing_zeros());
    let out_now = level(record.now_out_used);
    let in_now = level(record.now_in_used);
    Rings {
        outgoing: OutRing {
            size_bytes: size(record.rings.out_size),
            used_bytes: out_now,
            max_used_bytes: sight
                .if_seen(Hook::RingWrite, record.tx.max_used)
                .map(|max| max.max(out_now.unwrap_or(0))),
            reserved_bytes: sight.ring_reserve,
            occupancy: sight.if_seen(Hook::RingWrite, record.tx.occupancy.to_vec()),
            full_by_2016_rule: sight.if_seen(Hook::RingWrite, record.tx.tight),
            invalid: sight.if_seen(Hook::RingWrite, record.tx.invalid),
        },
        incoming: InRing {
            size_bytes: size(record.rings.in_size),
            used_bytes: in_now,
            max_used_bytes: sight
                .if_seen(Hook::Callback, record.callbacks.max_used)
                .map(|max| max.max(in_now.unwrap_or(0))),
            occupancy: sight.if_seen(Hook::Callback, record.callbacks.occupancy.to_vec()),
            invalid: sight.if_seen(Hook::Callback, record.callbacks.invalid),
            unread_bytes: unread(record),
        },
        memory_bytes: order.map(|order| 4096 << order),
        alloc_order: order,
    }
}

/// Payload that the host's rescind found unread; `None` before that, and where it could not be told.
pub(super) fn unread(record: &ConnRecord) -> Option<u32> {
    level(record.rings.unread_at_rescind).filter(|_| record.flags & flag::RESCINDED != 0)
}

fn latency(record: &ConnRecord, sight: Sight) -> ConnectionLatency {
    let phases = &record.phases;
    ConnectionLatency {
        connect_ns: known(phases.connect_ns),
        offer_to_probe_ns: known(phases.offer_to_probe_ns),
        lookup_ns: known(phases.lookup_ns),
        ring_alloc_ns: known(phases.ring_alloc_ns),
        host_open_ns: known(phases.host_open_ns),
        other_open_ns: known(phases.other_open_ns),
        accept_wait_ns: known(phases.accept_wait_ns),
        first_byte_ns: known(phases.first_byte_ns).filter(|_| sight.of_all(FIRST_BYTE)),
        close_ns: known(phases.close_ns).filter(|_| sight.of_all(CLOSE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_never_told_as_none() {
        let moment = Moment::now();
        assert_eq!(lasting(0, &moment), 0);
        assert_eq!(lasting(moment.ns - 5, &moment), 5);
        assert_eq!(lasting(moment.ns, &moment), 1);
        assert_eq!(lasting(moment.ns + 5, &moment), 1);
    }
}
