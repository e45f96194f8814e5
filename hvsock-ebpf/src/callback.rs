//! The channel callback, which the host's interrupt runs: new data, new room, or the end.

use hvsock_common::{Hook, Latency, Outcome, UNKNOWN};

use crate::{account, inherit, maps::Cpu, read, ring, slot};

/// `hvs_channel_cb(sk)`, entry.
#[inline(always)]
pub(crate) fn begin(cpu: Cpu, sk: u64) {
    let now = read::now();
    // SAFETY: this CPU's map value; callbacks run in softirq and do not nest.
    unsafe { (*cpu).callback_sk = sk };
    let Some(slot) = inherit::of_socket_on(cpu, sk) else { return };
    // SAFETY: a map value; the channel's tasklet is the only writer of this part.
    unsafe {
        let callbacks = &raw mut (*slot).callbacks;
        (*callbacks).begin_ns = now;
        let interrupt = (*callbacks).interrupt_ns;
        if interrupt != 0 {
            (*callbacks).interrupt_ns = 0;
            account::latency_of(cpu, slot, Latency::CallbackDelay, now.saturating_sub(interrupt));
        }
        let rings = (*slot).rings;
        if rings.in_header == 0 {
            return;
        }
        match ring::unread(rings.in_header, (*slot).chan, rings.in_size) {
            Some(used) => {
                (*callbacks).used = used as u32;
                if used > u64::from((*callbacks).max_used) {
                    (*callbacks).max_used = used as u32;
                }
                ring::count_step(&raw mut (*callbacks).occupancy, used, u64::from(rings.in_size), 0);
            }
            None => (*callbacks).invalid += 1,
        }
    }
}

/// `hvs_channel_cb(sk)`, return. A return probe cannot see `sk`; the CPU remembers it.
#[inline(always)]
pub(crate) fn end(cpu: Cpu) -> Outcome {
    let now = read::now();
    // SAFETY: this CPU's map value.
    let sk = unsafe { (*cpu).callback_sk };
    let Some(slot) = slot::of_socket_on(cpu, sk) else { return Outcome::Filtered };
    // SAFETY: a map value; the channel's tasklet is the only writer of this part.
    unsafe {
        let callbacks = &raw mut (*slot).callbacks;
        let ran = now.saturating_sub((*callbacks).begin_ns);
        if (*callbacks).begin_ns == 0 || ran == UNKNOWN {
            account::unpaired(cpu, Hook::Callback);
            return Outcome::Faulted;
        }
        (*callbacks).count += 1;
        (*callbacks).run_ns += ran;
        (*callbacks).begin_ns = 0;
        account::latency_of(cpu, slot, Latency::CallbackRun, ran);
    }
    Outcome::Recorded
}

/// `vmbus_chan_sched`: an event for `relid` reached the guest. Several may come before one callback; the earliest counts.
#[inline(always)]
pub(crate) fn interrupt(relid: u32) -> Outcome {
    let Some(slot) = slot::by_relid(relid) else { return Outcome::MapFull };
    // SAFETY: a map value; interrupts of a channel come to one CPU.
    unsafe {
        if (*slot).state == hvsock_common::State::Free as u32 {
            return Outcome::Filtered;
        }
        if (*slot).callbacks.interrupt_ns == 0 {
            (*slot).callbacks.interrupt_ns = read::now();
        }
    }
    Outcome::Recorded
}
