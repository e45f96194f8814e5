//! A connection leaves its slot.

use hvsock_common::{ConnRecord, CpuCounters, EventKind, Outcome, State};

use crate::{events, log, maps, ports};

/// Moves a connection's totals to the sums of its port and of this CPU, frees its slot and reports its end, in this order: a reader that
/// finds the slot free finds the totals in the sums, and one that finds as many connections gone after reading as before has read all of
/// them in one state.
#[inline(always)]
pub(crate) fn retire(slot: *mut ConnRecord, now: u64, cpu: Option<*mut CpuCounters>) -> Outcome {
    let Some(cpu) = cpu.or_else(maps::cpu) else { return Outcome::Faulted };
    let counted;
    // SAFETY: map values. `hvs_destruct` is the sums' writer; the one other way here, an end that was missed, is counted besides.
    unsafe {
        (*slot).freed_ns = now;
        let seq = (*slot).seq;
        (&raw mut (*slot).seq).write_volatile(seq + 1);
        // The call keeps the compiler from counting the connection as gone before its port has.
        counted = ports::ended(slot);
        let sums = &raw mut (*cpu).closed;
        let (tx, rx, callbacks) =
            (&raw const (*slot).tx, &raw const (*slot).rx, &raw const (*slot).callbacks);
        (*sums).connections += 1;
        (*sums).tx_bytes += (*tx).bytes;
        (*sums).tx_packets += (*tx).packets;
        (*sums).rx_bytes += (*rx).bytes;
        (*sums).rx_packets += (*rx).packets;
        (*sums).callbacks += (*callbacks).count;
        (*sums).stalls += (*tx).stalls;
        (*sums).stall_ns += (*tx).stall_ns;
        (*sums).eagain += (*tx).eagain;
        (*sums).short_writes += (*tx).short_writes;
        (*sums).failed_writes += (*tx).failed_writes;
        (*sums).ring_invalid += ((*tx).invalid + (*callbacks).invalid) as u64;
        (*sums).wait_ns += (*rx).wait_ns;
        (*slot).state = State::Free as u32;
        (&raw mut (*slot).seq).write_volatile(seq + 2);
    }
    // SAFETY: a map value.
    let (relid, flags) = unsafe { ((*slot).relid, (*slot).flags) };
    log::freed(relid, flags);
    let sent = events::send(EventKind::Closed, 0, 0, 0, slot);
    if counted { sent } else { Outcome::MapFull }
}
