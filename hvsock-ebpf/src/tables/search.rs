//! Counts the nodes that each lookup of AF_HYPERV goes past, by going the same way just before it: nobody but the module's own loop knows
//! them. The module's mutex is held, so that nothing changes meanwhile, and one search is counted at a time.
#![expect(clippy::needless_pass_by_value, reason = "aya's macros hand contexts over by value")]

use core::ffi::c_void;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    helpers::generated::bpf_probe_read_kernel,
    macros::{kprobe, map},
    maps::Array,
    programs::ProbeContext,
};
use hvsock_common::{SEARCH_STEPS, Search, Searched};

use crate::HEAD;

/// Where and how to search; the loader replaces it before the programs load.
#[unsafe(no_mangle)]
static SEARCH: Search = Search {
    bound: 0,
    connected: 0,
    buckets: 1,
    by_pointer: 0,
    bound_node: 0,
    connected_node: 0,
    service: 0,
    pipe: 0,
    channel: 0,
    relid: 0,
};

/// What the searches came to: of bound sockets, of connected ones. Mapped by the reader.
#[map]
static SEARCHED: Array<Searched> = Array::with_max_entries(2, BPF_F_MMAPABLE);

const BOUND: u32 = 0;
const CONNECTED: u32 = 1;

/// One value of [`SEARCH`]. The read is volatile, or the compiler would believe the value in this file.
macro_rules! of {
    ($field:ident) => {{
        let field = &raw const SEARCH.$field;
        // SAFETY: the address of a member of a static.
        unsafe { field.read_volatile() }
    }};
}

/// Reads that may fail, told by a sum at the end of them: the verifier follows 8,192 branches in a row and no more, so that a turn of the loop below
/// has three.
struct Reads {
    failed: i64,
}

impl Reads {
    #[inline(always)]
    fn of<T: Default>(&mut self, at: u64) -> T {
        let mut value = T::default();
        // SAFETY: the helper checks the address, and writes a value's size to a place of ours.
        self.failed |= unsafe {
            bpf_probe_read_kernel((&raw mut value).cast(), size_of::<T>() as u32, at as *const c_void)
        };
        value
    }

    #[inline(always)]
    fn failed(&self) -> bool {
        core::hint::black_box(self.failed) != 0
    }
}

/// Goes from the head at `head` to the first node with no difference to what is looked for, or past all, and counts nodes in `walking`: there, and not in a
/// register, because the verifier would know each number that it can have, and walk the rest of the program for each. Whether it came to an end.
#[inline(always)]
fn walk(head: u64, walking: *mut u64, difference: impl Fn(&mut Reads, u64) -> u64) -> bool {
    let (mut at, mut step) = (head, 0);
    let mut reads = Reads { failed: 0 };
    while step < SEARCH_STEPS {
        step += 1;
        at = reads.of::<u64>(at);
        if at == head {
            return true;
        }
        // SAFETY: a map value; the module's mutex is held.
        unsafe { walking.write_volatile(walking.read_volatile() + 1) };
        let difference = core::hint::black_box(difference(&mut reads, at));
        if reads.failed() {
            return false;
        }
        if difference == 0 {
            return true;
        }
    }
    false
}

/// Counts a search of this table.
#[inline(always)]
fn count(table: u32, search: impl Fn(*mut u64) -> bool) {
    let Some(searched) = SEARCHED.get_ptr_mut(table) else { return };
    // SAFETY: a map value; the module's mutex is held.
    unsafe {
        let walking = &raw mut (*searched).walking;
        walking.write_volatile(0);
        if search(walking) {
            (*searched).lookups += 1;
            (*searched).nodes += walking.read_volatile();
        } else {
            (*searched).lost += 1;
        }
    }
}

/// The head of the bucket that `key` belongs to.
#[inline(always)]
fn head(table: u64, key: u32) -> u64 {
    let buckets = of!(buckets);
    // The loader never says 0; the compiler does not know.
    let bucket = if buckets == 0 { 0 } else { u64::from(key) % buckets };
    table.wrapping_add(bucket * HEAD)
}

#[inline(always)]
fn bound(service: u64, walking: *mut u64) -> bool {
    let mut reads = Reads { failed: 0 };
    // Not an array at once, which the compiler would clear byte by byte, by a call.
    let (low, high) = (reads.of::<u64>(service), reads.of::<u64>(service.wrapping_add(8)));
    if reads.failed() {
        return false;
    }
    let to_service = of!(service).wrapping_sub(of!(bound_node));
    walk(head(of!(bound), low as u32), walking, |reads, node| {
        let other = node.wrapping_add(to_service);
        (reads.of::<u64>(other) ^ low) | (reads.of::<u64>(other.wrapping_add(8)) ^ high)
    })
}

#[inline(always)]
fn connected(channel: u64, walking: *mut u64) -> bool {
    if of!(by_pointer) != 0 {
        // SAFETY: a map value; the module's mutex is held.
        unsafe { walking.write_volatile(1) };
        return true;
    }
    let mut reads = Reads { failed: 0 };
    let relid = reads.of::<u32>(channel.wrapping_add(of!(relid)));
    if reads.failed() {
        return false;
    }
    let to_pipe = of!(pipe).wrapping_sub(of!(connected_node));
    walk(head(of!(connected), relid), walking, |reads, node| {
        let pipe = reads.of::<u64>(node.wrapping_add(to_pipe));
        reads.of::<u64>(pipe.wrapping_add(of!(channel))) ^ channel
    })
}

/// `hvsock_find_bound_socket(service)`
#[kprobe]
fn search_bound(ctx: ProbeContext) -> u32 {
    count(BOUND, |walking| bound(ctx.arg(0).unwrap_or(0), walking));
    0
}

/// `hvsock_find_connected_socket_by_channel(channel)`
#[kprobe]
fn search_connected(ctx: ProbeContext) -> u32 {
    count(CONNECTED, |walking| connected(ctx.arg(0).unwrap_or(0), walking));
    0
}
