//! The eBPF program that measures chains of the kernel's hash tables. Never attached: the reader runs it, many chains at a time. (Those in
//! `search` are attached, if they are wanted.)
//!
//! It takes no lock, so sockets come and go while it walks: one that is taken out of its chain meanwhile points to itself, or into another
//! chain. So a walk ends at its head or is not believed.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

#[path = "../object.rs"]
mod object;
mod search;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::bpf_probe_read_kernel, macros::map, maps::Array,
    programs::RawTracePointContext,
};
use hvsock_common::{CHAIN_STEPS, CHAINS, Walk, WalkEnd};

/// What a walk came to. Mapped by the reader.
#[map]
static WALK: Array<Walk> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Bytes of a list head.
const HEAD: u64 = 16;

/// `(table, buckets, bucket, at, nodes)`: walks on for some steps, from `at` in chain `bucket` of the `buckets` whose heads are at `table`; 0 is
/// the chain's begin. `nodes` were gone past in it before.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn walk_chains(ctx: *mut core::ffi::c_void) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let (table, buckets) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    let (mut bucket, mut at, mut nodes) = (ctx.arg::<u64>(2), ctx.arg::<u64>(3), ctx.arg::<u64>(4));
    let Some(walk) = WALK.get_ptr_mut(0) else { return 0 };
    let mut head = table.wrapping_add(bucket.wrapping_mul(HEAD));
    if at == 0 {
        at = head;
    }
    let mut end = WalkEnd::Under;
    let mut step = 0;
    while step < CHAIN_STEPS {
        step += 1;
        // SAFETY: the helper checks the address. `next` is the first member of a list head.
        let Ok(next) = (unsafe { bpf_probe_read_kernel(at as *const u64) }) else {
            end = WalkEnd::Faulted;
            break;
        };
        if next == head {
            // SAFETY: a map value that only this program writes, run by one thread; the index is bounded.
            unsafe {
                let lengths = (&raw mut (*walk).lengths).cast::<u64>();
                *lengths.add(bucket as usize & (CHAINS - 1)) = nodes;
            }
            bucket += 1;
            head = head.wrapping_add(HEAD);
            (at, nodes) = (head, 0);
            if bucket >= buckets {
                end = WalkEnd::Whole;
                break;
            }
            continue;
        }
        if next == at {
            end = WalkEnd::Lost;
            break;
        }
        at = next;
        nodes += 1;
    }
    // SAFETY: as above.
    unsafe {
        (*walk).at = at;
        (*walk).nodes = nodes;
        (*walk).bucket = bucket;
        (*walk).end = end as u64;
    }
    0
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
