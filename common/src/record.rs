//! One record per connection, in the slot of its channel's relid.

use crate::MAX_RELIDS;

/// Steps of a ring's occupancy histogram: sixteenths of the ring, and one for "hv_sock can write no more".
pub const OCCUPANCY_STEPS: usize = 17;

/// The step for `used` bytes of a ring of `size`, of which `reserve` are never used. All have 32 bits really; 64 are what BPF computes with.
#[inline(always)]
pub const fn occupancy_step(used: u64, size: u64, reserve: u64) -> usize {
    if size == 0 || used + reserve >= size {
        return OCCUPANCY_STEPS - 1;
    }
    let step = (used * 16 / size) as usize;
    if step > 15 { 15 } else { step }
}

/// Where a connection is in its life.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The slot is free; what it holds is what the last connection left.
    Free = 0,
    /// The channel is being opened.
    Opening = 1,
    /// Data can flow.
    Established = 2,
    /// The guest closed; the host has not yet taken the channel away.
    Closing = 3,
    /// The host took the channel away; the guest has not yet closed.
    Rescinded = 4,
}

impl State {
    /// The state with this number.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            0 => State::Free,
            1 => State::Opening,
            2 => State::Established,
            3 => State::Closing,
            4 => State::Rescinded,
            _ => return None,
        })
    }
}

/// Bits of [`ConnRecord::flags`].
pub mod flag {
    /// The guest called close (`hvs_release`).
    pub const RELEASED: u32 = 1;
    /// The host took the channel away (`hvs_close_connection`).
    pub const RESCINDED: u32 = 2;
    /// The guest gave up waiting for the host (`hvs_close_timeout`).
    pub const CLOSE_TIMED_OUT: u32 = 4;
    /// The host took the channel away before the guest closed.
    pub const HOST_FIRST: u32 = 8;
    /// Somebody accepted the connection.
    pub const ACCEPTED: u32 = 16;
    /// The record began after the connection did; its past is unknown.
    pub const INHERITED: u32 = 32;
    /// The slot was taken again without the end of this connection having been seen.
    pub const END_MISSED: u32 = 64;
}

/// What the guest sent. Writer: the thread that holds the socket's lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Send {
    /// Payload bytes that `hvs_stream_enqueue` took.
    pub bytes: u64,
    /// Packets written into the out ring, the FIN not among them.
    pub packets: u64,
    /// Calls of `hvs_stream_enqueue`.
    pub calls: u64,
    /// Calls that took less than they were given.
    pub short_writes: u64,
    /// Send calls that ended with EAGAIN because the ring was full.
    pub eagain: u64,
    /// Ring writes that failed.
    pub failed_writes: u64,
    /// Times a sender had to wait for room.
    pub stalls: u64,
    /// Nanoseconds of all ended waits.
    pub stall_ns: u64,
    /// Begin of the wait that has not ended, or zero.
    pub stalled_since: u64,
    /// Bytes in the out ring when last looked at, after a write or when found full.
    pub used: u32,
    /// The most that was ever seen.
    pub max_used: u32,
    /// Looks that found indices out of range.
    pub invalid: u32,
    /// errno of the last failed send, else zero.
    pub last_error: u32,
    /// How full the ring was after each write, by [`occupancy_step`].
    pub occupancy: [u32; OCCUPANCY_STEPS],
    /// Writes after which no more than [`crate::RING_RESERVE_2016`] bytes were available.
    pub tight: u32,
    /// The thread whose wait `stalled_since` is: only the end of its own call ends it, not another thread's.
    pub stalled_by: u32,
    /// Unused.
    pub pad: u32,
}

/// What the guest received. Writer: the thread that holds the socket's lock.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Receive {
    /// Payload bytes that `hvs_stream_dequeue` gave out.
    pub bytes: u64,
    /// Packets read to their end.
    pub packets: u64,
    /// Calls of `hvs_stream_dequeue`.
    pub calls: u64,
    /// Times a reader had to wait for data.
    pub waits: u64,
    /// Nanoseconds of all ended waits.
    pub wait_ns: u64,
    /// Begin of the wait that has not ended, or zero.
    pub waiting_since: u64,
    /// The thread whose wait that is.
    pub waiting_by: u64,
    /// Receive calls that ended with an error other than EAGAIN.
    pub errors: u64,
    /// errno of the last failed receive, else zero.
    pub last_error: u64,
}

/// The channel callback. Writer: the channel's tasklet.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Callbacks {
    /// Calls of `hvs_channel_cb`.
    pub count: u64,
    /// Nanoseconds inside them.
    pub run_ns: u64,
    /// When the running one began.
    pub begin_ns: u64,
    /// The earliest interrupt that no callback has answered yet, or zero. Writer: `vmbus_chan_sched`.
    pub interrupt_ns: u64,
    /// Bytes in the in ring that the guest has not consumed, at the last callback.
    pub used: u32,
    /// The most that was ever seen.
    pub max_used: u32,
    /// Looks that found indices out of range.
    pub invalid: u32,
    /// Unused.
    pub pad: u32,
    /// How full the in ring was at each callback, by [`occupancy_step`].
    pub occupancy: [u32; OCCUPANCY_STEPS],
    /// Unused.
    pub pad2: u32,
}

/// The rings as they were set up. Writer: the opening worker.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Rings {
    /// Kernel address of the out ring's header page, or zero.
    pub out_header: u64,
    /// Kernel address of the in ring's header page, or zero.
    pub in_header: u64,
    /// Data bytes of the out ring; zero means unknown.
    pub out_size: u32,
    /// Data bytes of the in ring; zero means unknown.
    pub in_size: u32,
    /// Pages of both rings with their headers; zero means unknown.
    pub pages: u32,
    /// Payload bytes that lay unread when the host took the channel away; `u32::MAX`: not known. Writer: rescind.
    pub unread_at_rescind: u32,
}

/// The phases of the connection's life; [`crate::UNKNOWN`] where not measured. Writers as noted.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Phases {
    /// `hvs_connect` to established (to host). Writer: opening worker, as for the next five.
    pub connect_ns: u64,
    /// Offer message to `hvs_probe`.
    pub offer_to_probe_ns: u64,
    /// Inside `vsock_find_bound_socket`.
    pub lookup_ns: u64,
    /// Inside `vmbus_alloc_ring`.
    pub ring_alloc_ns: u64,
    /// Inside `vmbus_open`, less the ring's allocation.
    pub host_open_ns: u64,
    /// The rest of `hvs_probe`, until the connection is established.
    pub other_open_ns: u64,
    /// Queued to accepted (from host). Writer: accepting thread.
    pub accept_wait_ns: u64,
    /// Established to the first payload byte, either way. Writer: the socket's lock.
    pub first_byte_ns: u64,
    /// Close by the guest to its end. Writer: the closing side.
    pub close_ns: u64,
}

/// All there is to know about one connection.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct ConnRecord {
    /// Even: the slot is stable; odd: a connection is being set up in it. Grows by two when a connection
    /// takes the slot and by two when it leaves it: a reader that finds another number after its copy than before has read two
    /// connections.
    pub seq: u64,
    /// The socket (kernel address); identifies the connection together with `opened_ns`.
    pub sk: u64,
    /// The channel (kernel address).
    pub chan: u64,
    /// [`State`].
    pub state: u32,
    /// Bits of [`flag`].
    pub flags: u32,
    /// The channel's relid.
    pub relid: u32,
    /// [`crate::Direction`].
    pub direction: u32,
    /// The guest's port.
    pub local_port: u32,
    /// The host's port, as hv_sock knows it.
    pub remote_port: u32,
    /// Thread group that connected or accepted; zero: unknown.
    pub pid: u32,
    /// The listener's backlog limit at the open; zero for `to_host`.
    pub max_ack_backlog: u32,
    /// Its name.
    pub comm: [u8; 16],
    /// The service's GUID, in memory order (`offer.if_type`).
    pub service: [u8; 16],
    /// The connection's GUID, in memory order (`offer.if_instance`).
    pub instance: [u8; 16],
    /// The listener's socket for `from_host`, else zero.
    pub listener: u64,
    /// When the slot was taken.
    pub begin_ns: u64,
    /// When it was established, or [`crate::UNKNOWN`].
    pub opened_ns: u64,
    /// When it was queued for accept, or [`crate::UNKNOWN`].
    pub queued_ns: u64,
    /// When the guest closed, or [`crate::UNKNOWN`].
    pub released_ns: u64,
    /// When the host took the channel away, or [`crate::UNKNOWN`].
    pub rescinded_ns: u64,
    /// When it was freed, or [`crate::UNKNOWN`].
    pub freed_ns: u64,
    /// See [`Rings`].
    pub rings: Rings,
    /// See [`Phases`].
    pub phases: Phases,
    /// See [`Send`].
    pub tx: Send,
    /// See [`Receive`].
    pub rx: Receive,
    /// See [`Callbacks`].
    pub callbacks: Callbacks,
    /// Bytes in the out ring at the reader's last look, or `u32::MAX`. Writer: the reader's own program.
    pub now_out_used: u32,
    /// Bytes in the in ring that the guest has not consumed at the reader's last look, or `u32::MAX`.
    pub now_in_used: u32,
    /// A file descriptor of the socket in the process `pid`, or -1: unknown. Writer: the inventory.
    pub fd: i32,
    /// Non-zero: nobody was seen connecting or accepting; `pid` is a process that had the socket open at this pass of the inventory.
    pub owner_pass: u32,
}

const _: () = assert!(size_of::<ConnRecord>().is_multiple_of(64));
const _: () = assert!(MAX_RELIDS.is_power_of_two(), "a relid is bounded with a mask");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occupancy_steps_reach_the_full_ring_exactly_where_hv_sock_stops() {
        assert_eq!(occupancy_step(0, 24576, 72), 0);
        assert_eq!(occupancy_step(24576 - 73, 24576, 72), 15);
        assert_eq!(occupancy_step(24576 - 72, 24576, 72), 16);
        assert_eq!(occupancy_step(12288, 24576, 72), 8);
        assert_eq!(occupancy_step(1, 0, 72), 16);
    }
}
