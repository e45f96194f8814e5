//! One run of a program: the next lookup of the batch, or the next part of the one under way.

use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use hvsock_common::{LAB_END, LabKey, LabState};

use crate::maps::{KEYS, STATE};

/// What a walk came to.
#[derive(Clone, Copy)]
pub(crate) struct Walked {
    /// Nodes visited in this run.
    pub(crate) visited: u32,
    /// Whether the socket was found.
    pub(crate) found: bool,
    /// Where to go on; [`LAB_END`] when the walk is over.
    pub(crate) at: u32,
    /// Zero, read from where the walk ended: nothing that depends on it can begin before.
    pub(crate) nil: u32,
}

/// Makes one step with `walk`, which is given the key and the node to go on from.
#[inline(always)]
pub(crate) fn step(walk: impl Fn(&LabState, &LabKey) -> Walked) -> i64 {
    let Some(state) = STATE.get_ptr_mut(0) else { return 0 };
    // SAFETY: a map value. One thread runs the batch, and writes it only between runs.
    let state = unsafe { &mut *state };
    if state.cursor == 0 && state.at == LAB_END {
        // SAFETY: reads the clock.
        state.begin_ns = unsafe { bpf_ktime_get_ns() };
    }
    let Some(key) = KEYS.get(state.cursor) else { return 0 };
    let walked = walk(state, key);
    state.visited += u64::from(walked.visited);
    state.runs += 1;
    state.at = walked.at;
    if walked.at == LAB_END {
        state.found += u64::from(walked.found);
        state.cursor = state.cursor.wrapping_add(1).wrapping_add(walked.nil);
        if state.cursor == state.length {
            // SAFETY: reads the clock.
            state.end_ns = unsafe { bpf_ktime_get_ns() };
        }
    }
    0
}
