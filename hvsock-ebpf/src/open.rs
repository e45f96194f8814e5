//! The open path: everything between the entry and the exit of `hvs_probe`, in the worker that runs it.
//!
//! `hvs_open_connection` is inlined into `hvs_probe` and both hide their result, so the outcome is told from which of the functions it
//! calls were reached and what they returned.

use hvsock_common::{
    Direction, EventKind, Latency, OPEN_RESULTS, OpenResult, Opening, Outcome, State, UNKNOWN, seen,
};

use crate::{
    account, atomic, classify,
    errno::ENOMEM,
    events, log,
    maps::{self, CONNECTING, OFFERED, OPENING, OPENS, at},
    ports, read, slot, take,
};

/// VMBUS_CHANNEL_TLNPI_PROVIDER_OFFER (include/linux/hyperv.h): the offer is an hv_sock connection.
pub(crate) const TLNPI_PROVIDER_OFFER: u16 = 0x2000;

/// The open this worker is inside of.
#[inline(always)]
pub(crate) fn current() -> Option<*mut Opening> {
    OPENING.get_ptr_mut(read::thread())
}

/// `vmbus_onoffer(hdr)`: when the host's offer arrived.
#[inline(always)]
pub(crate) fn offer(message: u64) -> Outcome {
    let base = at!(chan_offermsg);
    let (Some(flags), Some(relid)) = (
        read::field::<u16>(message, at!(chan_flags).wrapping_sub(base)),
        read::field::<u32>(message, at!(chan_relid).wrapping_sub(base)),
    ) else {
        return Outcome::Faulted;
    };
    if flags & TLNPI_PROVIDER_OFFER == 0 {
        return Outcome::Filtered;
    }
    let Some(offered) = OFFERED.get_ptr_mut(relid) else {
        return Outcome::MapFull;
    };
    // SAFETY: a map value; offers are handled one at a time.
    unsafe { *offered = read::now() };
    Outcome::Recorded
}

/// `hvs_probe(hdev, id)`, entry.
#[inline(always)]
pub(crate) fn begin(hdev: u64) {
    let now = read::now();
    let Some(chan) = read::field::<u64>(hdev, at!(device_channel)) else { return lost() };
    let (Some(relid), Some(from_host)) =
        (read::field::<u32>(chan, at!(chan_relid)), read::field::<u8>(chan, at!(chan_user_def)))
    else {
        return lost();
    };
    let direction = if from_host != 0 { Direction::FromHost } else { Direction::ToHost };
    // A service GUID of vsock's begins with the port. From the host, the type names the guest's service; to the host, the instance
    // names the guest's socket and the type the host's service.
    let kind = read::field::<u32>(chan, at!(chan_if_type)).unwrap_or(0);
    let instance = read::field::<u32>(chan, at!(chan_if_instance)).unwrap_or(0);
    let mut opening = Opening {
        begin_ns: now,
        offered_ns: UNKNOWN,
        chan,
        sk: 0,
        child: 0,
        lookup_ns: UNKNOWN,
        alloc_ns: UNKNOWN,
        open_ns: UNKNOWN,
        transport_ret: 0,
        alloc_ret: 0,
        open_ret: 0,
        seen: 0,
        relid,
        direction: direction as u32,
        local_port: if from_host != 0 { kind } else { instance },
        remote_port: if from_host != 0 { instance } else { kind },
        sk_state: 0,
        ack_backlog: 0,
        max_ack_backlog: 0,
        slot_taken: 0,
        result: 0,
        pad: 0,
    };
    if let Some(offered) = OFFERED.get_ptr_mut(relid) {
        // SAFETY: a map value; the relid belongs to this open now.
        unsafe {
            if *offered != 0 {
                opening.offered_ns = *offered;
                *offered = 0;
            }
        }
    }
    if OPENING.insert(read::thread(), opening, 0).is_err() {
        return lost();
    }
    if let Some(open) = OPENS.get_ptr_mut(relid) {
        // SAFETY: a map value; the relid belongs to this open now.
        unsafe { open.write_volatile(chan) };
    }
}

/// Notes that an open found no room, or could not be read, at its entry. No channel has relid 0, so its place in `OPENS` is free for that.
#[inline(always)]
fn lost() {
    if let Some(lost) = OPENS.get_ptr_mut(0) {
        atomic::add(lost, 1);
    }
}

/// What is to be said of an open that was not noted at its entry: lost there, or older than the probe at the entry, which is attached
/// after the one at the return. None is called lost that was not, nor more than were.
#[inline(always)]
fn not_noted() -> Outcome {
    let Some(lost) = OPENS.get_ptr_mut(0) else { return Outcome::Faulted };
    // SAFETY: a map value.
    if unsafe { lost.read_volatile() } == 0 {
        return Outcome::Filtered;
    }
    atomic::add(lost, 1u64.wrapping_neg());
    Outcome::MapFull
}

/// `vsock_find_bound_socket(addr)`, entry.
#[inline(always)]
pub(crate) fn lookup_begin() {
    if let Some(opening) = current() {
        // SAFETY: a map value that only this thread uses; the same for all below.
        unsafe { (*opening).lookup_ns = read::now() };
    }
}

/// `vsock_find_bound_socket(addr)`, return: the listener, or the socket that connects.
#[inline(always)]
pub(crate) fn lookup_end(sk: u64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    unsafe {
        (*opening).seen |= seen::LOOKUP;
        if (*opening).lookup_ns != UNKNOWN {
            (*opening).lookup_ns = read::now() - (*opening).lookup_ns;
        }
        (*opening).sk = sk;
        if sk == 0 {
            return Outcome::Recorded;
        }
        let (Some(state), Some(ack), Some(max)) = (
            read::field::<u8>(sk, at!(sk_state)),
            read::field::<u32>(sk, at!(sk_ack_backlog)),
            read::field::<u32>(sk, at!(sk_max_ack_backlog)),
        ) else {
            return Outcome::Faulted;
        };
        (*opening).sk_state = state as u32;
        (*opening).ack_backlog = ack;
        (*opening).max_ack_backlog = max;
    }
    Outcome::Recorded
}

/// `vsock_create_connected(parent)`, return.
#[inline(always)]
pub(crate) fn create_end(child: u64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    unsafe {
        (*opening).seen |= seen::CREATE;
        (*opening).child = child;
    }
    Outcome::Recorded
}

/// `vsock_assign_transport(vsk, psk)`, return.
#[inline(always)]
pub(crate) fn transport_end(ret: i64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    unsafe {
        (*opening).seen |= seen::TRANSPORT;
        (*opening).transport_ret = ret as i32;
    }
    Outcome::Recorded
}

/// `vmbus_alloc_ring(chan, send, recv)`, entry.
#[inline(always)]
pub(crate) fn alloc_begin() {
    if let Some(opening) = current() {
        // SAFETY: see `lookup_begin`.
        unsafe { (*opening).alloc_ns = read::now() };
    }
}

/// `vmbus_alloc_ring(chan, send, recv)`, return.
#[inline(always)]
pub(crate) fn alloc_end(ret: i64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    unsafe {
        (*opening).seen |= seen::ALLOC;
        (*opening).alloc_ret = ret as i32;
        if (*opening).alloc_ns != UNKNOWN {
            (*opening).alloc_ns = read::now() - (*opening).alloc_ns;
        }
    }
    Outcome::Recorded
}

/// `vmbus_open(chan, …)`, entry: from here on the host may write and the callback may run, so the slot is taken now.
#[inline(always)]
pub(crate) fn host_open_begin() {
    let Some(opening) = current() else { return };
    // SAFETY: see `lookup_begin`.
    let opening = unsafe { &mut *opening };
    opening.seen |= seen::OPEN_ENTERED;
    opening.open_ns = read::now();
    let sk = if opening.direction == Direction::FromHost as u32 { opening.child } else { opening.sk };
    if sk != 0 {
        take::take(opening, sk);
    }
}

/// `vmbus_open(chan, …)`, return.
#[inline(always)]
pub(crate) fn host_open_end(ret: i64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    let opening = unsafe { &mut *opening };
    opening.seen |= seen::OPEN;
    opening.open_ret = ret as i32;
    if opening.open_ns != UNKNOWN {
        opening.open_ns = read::now() - opening.open_ns;
    }
    if opening.slot_taken != 0
        && opening.open_ret == 0
        && let Some(slot) = slot::by_relid(opening.relid)
    {
        slot::set_rings(slot, opening.chan);
    }
    Outcome::Recorded
}

/// `vsock_insert_connected(vsk)`: the connection is established.
#[inline(always)]
pub(crate) fn established(vsk: u64) -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    let opening = unsafe { &mut *opening };
    opening.seen |= seen::INSERT;
    let now = read::now();
    let taken =
        if opening.slot_taken != 0 { slot::by_relid(opening.relid) } else { take::take(opening, vsk) };
    let Some(slot) = taken else { return Outcome::MapFull };
    // SAFETY: a map value; until hvs_probe returns the opening worker is its only writer but for the callback's part.
    unsafe {
        if (*slot).rings.out_size == 0 {
            slot::set_rings(slot, opening.chan);
        }
        (*slot).sk = vsk;
        (*slot).opened_ns = now;
        if let Some(port) = read::field(vsk, at!(vsk_local_port)) {
            (*slot).local_port = port;
        }
        if let Some(port) = read::field(vsk, at!(vsk_remote_port)) {
            (*slot).remote_port = port;
        }
        if opening.direction == Direction::ToHost as u32 {
            if let Some(connecting) = CONNECTING.get_ptr_mut(vsk) {
                (*slot).pid = ((*connecting).pid_tgid >> 32) as u32;
                (*slot).comm = (*connecting).comm;
                (*slot).phases.connect_ns = now - (*connecting).begin_ns;
                account::latency(Latency::Connect, (*slot).phases.connect_ns);
                let _ = CONNECTING.remove(vsk);
            }
            if let Some(cpu) = maps::cpu() {
                (*cpu).connects_ok += 1;
            }
        }
        (*slot).state = State::Established as u32;
    }
    Outcome::Recorded
}

/// `vsock_enqueue_accept(listener, connected)`: the child waits to be accepted.
#[inline(always)]
pub(crate) fn accept_queued() -> Outcome {
    let Some(opening) = current() else { return Outcome::Filtered };
    // SAFETY: see `lookup_begin`.
    let Some(slot) = slot::by_relid(unsafe { (*opening).relid }) else { return Outcome::MapFull };
    // SAFETY: a map value, written by the opening worker.
    unsafe { (*slot).queued_ns = read::now() };
    Outcome::Recorded
}

/// `hvs_probe(hdev, id)`, return: what became of the offer.
#[inline(always)]
pub(crate) fn end() -> Outcome {
    let tid = read::thread();
    let Some(opening) = OPENING.get_ptr_mut(tid) else { return not_noted() };
    // SAFETY: see `lookup_begin`.
    let opening = unsafe { &mut *opening };
    // Written and read back, or the verifier would walk the rest once for each of the results.
    // SAFETY: a map value.
    let result = unsafe {
        let place = &raw mut opening.result;
        place.write_volatile(classify::classify(opening) as u32);
        place.read_volatile()
    };
    if result as usize >= OPEN_RESULTS.len() {
        return Outcome::Faulted;
    }
    let counted = ports::offer(opening, result);
    if let Some(cpu) = maps::cpu() {
        let direction = opening.direction as usize & 1;
        // SAFETY: both indices are bounded; this hook is the only writer.
        unsafe {
            *(&raw mut (*cpu).opens[direction]).cast::<u64>().add(result as usize) += 1;
        }
    }
    let outcome = if result == OpenResult::Ok as u32 { finish(opening) } else { fail(opening, result) };
    if let Some(open) = OPENS.get_ptr_mut(opening.relid) {
        // SAFETY: a map value; from here on the slot's state tells all.
        unsafe { open.write_volatile(0) };
    }
    let _ = OPENING.remove(tid);
    if counted { outcome } else { Outcome::MapFull }
}

/// Fills in the phases of a connection that came about. They are disjoint and add up to offer → established. What the probe does after that
/// is of no concern to the connection, and takes long when whoever waited for it gets the CPU first.
#[inline(always)]
fn finish(opening: &Opening) -> Outcome {
    let Some(slot) = slot::by_relid(opening.relid) else { return Outcome::MapFull };
    // SAFETY: a map value.
    let total = unsafe { (*slot).opened_ns } - opening.begin_ns;
    let known = |ns: u64, step: u32| if opening.seen & step != 0 { ns } else { UNKNOWN };
    // SAFETY: a map value; the opening worker is the only writer of the phases of the open.
    let phases = unsafe { &raw mut (*slot).phases };
    // SAFETY: as above. Each is written before the next is worked out, and read back for its histogram: the verifier would walk the rest
    // of the program once for every combination of known and unknown values that it can tell apart.
    unsafe {
        let offer =
            if opening.offered_ns == UNKNOWN { UNKNOWN } else { opening.begin_ns - opening.offered_ns };
        (&raw mut (*phases).offer_to_probe_ns).write_volatile(offer);
        (&raw mut (*phases).lookup_ns).write_volatile(known(opening.lookup_ns, seen::LOOKUP));
        (&raw mut (*phases).ring_alloc_ns).write_volatile(known(opening.alloc_ns, seen::ALLOC));
        let open = known(opening.open_ns, seen::OPEN);
        let alloc = (&raw const (*phases).ring_alloc_ns).read_volatile();
        let host = if open == UNKNOWN || alloc == UNKNOWN { UNKNOWN } else { open - alloc };
        (&raw mut (*phases).host_open_ns).write_volatile(host);
        let lookup = (&raw const (*phases).lookup_ns).read_volatile();
        let other = if lookup == UNKNOWN || open == UNKNOWN { UNKNOWN } else { total - lookup - open };
        (&raw mut (*phases).other_open_ns).write_volatile(other);
        account::latency(Latency::OfferToProbe, (&raw const (*phases).offer_to_probe_ns).read_volatile());
        account::latency(Latency::Lookup, (&raw const (*phases).lookup_ns).read_volatile());
        account::latency(Latency::RingAlloc, (&raw const (*phases).ring_alloc_ns).read_volatile());
        account::latency(Latency::HostOpen, (&raw const (*phases).host_open_ns).read_volatile());
        account::latency(Latency::OtherOpen, (&raw const (*phases).other_open_ns).read_volatile());
    }
    log::opened(opening.relid, opening.local_port, total);
    // SAFETY: a map value.
    let pid = unsafe { (*slot).pid };
    events::send(EventKind::Opened, OpenResult::Ok as u32, 0, pid, slot)
}

/// Gives the slot back and reports the failure.
#[inline(always)]
fn fail(opening: &mut Opening, result: u32) -> Outcome {
    // An open that got as far as vmbus_open has its record; an earlier failure needs one to report itself with.
    let slot = if opening.slot_taken != 0 {
        slot::by_relid(opening.relid)
    } else if slot::by_relid(opening.relid).is_some_and(|slot| {
        // SAFETY: a map value.
        unsafe { (*slot).state == State::Free as u32 }
    }) {
        take::take(opening, opening.sk)
    } else {
        None
    };
    log::open_failed(opening.relid, opening.local_port, result);
    let Some(slot) = slot else { return Outcome::MapFull };
    let error = if result == OpenResult::Transport as u32 {
        opening.transport_ret
    } else if result == OpenResult::RingEnomem as u32 {
        ENOMEM
    } else {
        opening.open_ret
    };
    let outcome = events::send(EventKind::OpenFailed, result, error, 0, slot);
    // SAFETY: a map value; nobody else knows this connection.
    unsafe {
        (*slot).state = State::Free as u32;
        let seq = (*slot).seq;
        (&raw mut (*slot).seq).write_volatile(seq + 2);
    }
    outcome
}
