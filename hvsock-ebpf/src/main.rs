//! eBPF programs on hv_sock's paths: open, established, callback, ring write, send, receive, close.
//!
//! Each file holds the handlers of one path; `entries` turns them into programs, two thin entries per handler (kprobe and fentry), so
//! that the loader can take whichever this kernel offers. Handlers get plain numbers and return what became of the event, and
//! `account` keeps the sums.
//!
//! Rules
//! - The send, receive and callback paths do no hash lookup, take no lock and send no event: the slot is the one this CPU had last, or a relid
//!   is read from the channel, bounded, and indexes it.
//! - Kernel memory is read with the fault-tolerant helper, or through a pointer whose type the verifier knows, which is as safe and costs less.
//!   Ring indices are shared with the host and never believed unchecked.
//! - The budget, in instructions over what an empty program costs in the same place (docs/overhead.md; `cargo xtask bench cost`): 100 for each
//!   program of the send path, 270 for each of the receive path, 300 for each of a callback. A helper call that reads memory takes 110.
//! - Offsets are constants to the verifier (`LAYOUT` is frozen before the programs load), so they cost nothing at run time.
#![cfg_attr(
    target_arch = "bpf",
    no_std,
    no_main,
    feature(core_intrinsics),
    allow(internal_features, reason = "the only way to an atomic add on this target")
)]

mod accept;
mod account;
mod atomic;
mod callback;
mod classify;
mod close;
mod connect;
mod empty;
#[expect(clippy::needless_pass_by_value, reason = "the entry macros hand contexts over by value")]
mod entries;
mod errno;
mod events;
mod fresh;
mod inherit;
mod inventory;
mod log;
mod maps;
mod object;
mod open;
mod ports;
mod read;
mod receive;
mod refresh;
mod retire;
mod ring;
mod send;
mod slot;
mod take;
mod vmbus;

#[cfg(not(target_arch = "bpf"))]
fn main() {}
