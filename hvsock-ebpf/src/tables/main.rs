//! The eBPF program that measures chains of the kernel's hash tables. Never attached: the reader runs it, a chain at a time.
//!
//! It takes no lock, so sockets come and go while it walks: one that is taken out of its chain meanwhile points to itself, or into another
//! chain. So a walk ends at its head or is not believed.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE, helpers::bpf_probe_read_kernel, macros::map, maps::Array,
    programs::RawTracePointContext,
};
use hvsock_common::{CHAIN_STEPS, Chain, ChainEnd};

/// What a walk came to. Mapped by the reader.
#[map]
static CHAIN: Array<Chain> = Array::with_max_entries(1, BPF_F_MMAPABLE);

/// Walks on from `at`, towards the list head at `head`, for some steps.
#[unsafe(no_mangle)]
#[unsafe(link_section = "raw_tp")]
extern "C" fn walk_chain(ctx: *mut core::ffi::c_void) -> u32 {
    let ctx = RawTracePointContext::new(ctx);
    let (head, mut at) = (ctx.arg::<u64>(0), ctx.arg::<u64>(1));
    let Some(chain) = CHAIN.get_ptr_mut(0) else { return 0 };
    let mut nodes = 0;
    let mut end = ChainEnd::Under;
    let mut step = 0;
    while step < CHAIN_STEPS {
        step += 1;
        // SAFETY: the helper checks the address. `next` is the first member of a list head.
        let Ok(next) = (unsafe { bpf_probe_read_kernel(at as *const u64) }) else {
            end = ChainEnd::Faulted;
            break;
        };
        if next == head {
            end = ChainEnd::Head;
            break;
        }
        if next == at {
            end = ChainEnd::Lost;
            break;
        }
        at = next;
        nodes += 1;
    }
    // SAFETY: a map value; only this program writes it, run by one thread.
    unsafe {
        (*chain).at = at;
        (*chain).nodes = nodes;
        (*chain).end = end as u32;
    }
    0
}

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // No program may contain a reachable panic; the verifier rejects this loop.
    loop {}
}

#[cfg(target_arch = "bpf")]
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(not(target_arch = "bpf"))]
fn main() {}
