//! eBPF programs of the lookup laboratory: each makes one lookup in one structure. They are never attached. The laboratory runs them with
//! `BPF_PROG_TEST_RUN`, which repeats a socket filter as often as asked within one system call (kernels since 4.12).
//!
//! A program finds in `STATE` which lookup of the batch is next, takes its key from `KEYS`, walks, and counts the nodes it visited. The first
//! lookup of a batch notes the time, and so does the last: the clock is read twice per batch, however coarse it is. A walk of more than
//! `LAB_STRIDE` nodes goes on in the next run.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]

mod batch;
mod maps;
#[path = "../object.rs"]
mod object;
mod walk;

use aya_ebpf::{macros::socket_filter, programs::SkBuffContext};

/// Everything but the walk: what is subtracted from the others.
#[socket_filter]
fn lab_empty(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::nothing)
}

/// The patch's list of bound sockets, by service GUID.
#[socket_filter]
fn lab_guid(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::list_by_guid)
}

/// The patch's list of connected sockets, by channel.
#[socket_filter]
fn lab_channel(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::list_by_channel)
}

/// vsock's table of 251 buckets, by port.
#[socket_filter]
fn lab_bucket(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::bucket)
}

/// A hash that doubles when it is three quarters full, as rhashtable does, by port.
#[socket_filter]
fn lab_grown(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::grown)
}

/// A pointer kept with the channel, found by relid.
#[socket_filter]
fn lab_pointer(_ctx: SkBuffContext) -> i64 {
    batch::step(walk::pointer)
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
