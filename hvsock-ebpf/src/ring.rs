//! Looking into a ring's header, which the host can write at any time.

use hvsock_common::OCCUPANCY_STEPS;

use crate::{maps::at, read};

/// The two indices of a ring's header page, read once and together.
#[repr(C)]
#[derive(Clone, Copy)]
struct Indices {
    write: u32,
    read: u32,
}

/// Bytes in the ring whose header is at `header`, or `None` if the indices cannot be true.
#[inline(always)]
pub(crate) fn used(header: u64, size: u32) -> Option<u64> {
    let at: Indices = read::field(header, at!(ring_write_index))?;
    distance(at.write, at.read, size)
}

/// The same of the out ring of `chan`, for a program that the kernel gave the channel as a pointer of its type (fentry, fexit): it may then read
/// without asking anybody, each access checked when the program was loaded, and a bad address reads as zero. A fifth of the price.
///
/// The verifier follows the pointer through these very additions, so `chan` must be what the program was given.
#[inline(always)]
pub(crate) fn used_typed(chan: u64, size: u32) -> Option<u64> {
    // SAFETY: see above.
    let (write, read) = unsafe {
        let header = ((chan + at!(chan_out_header) as u64) as *const u64).read_volatile();
        let indices = header + at!(ring_write_index) as u64;
        ((indices as *const u32).read_volatile(), ((indices + 4) as *const u32).read_volatile())
    };
    distance(write, read, size)
}

/// Bytes between `priv_read` (the guest's own read index) and the host's write index.
#[inline(always)]
pub(crate) fn unread(header: u64, chan: u64, size: u32) -> Option<u64> {
    let write: u32 = read::field(header, at!(ring_write_index))?;
    let read: u32 = read::field(chan, at!(chan_in_priv_read))?;
    distance(write, read, size)
}

/// A packet's descriptor (`struct vmpacket_descriptor`) and the pipe header behind it (`struct vmpipe_proto_header`).
#[repr(C)]
#[derive(Clone, Copy)]
struct PacketHead {
    kind: u16,
    offset8: u16,
    len8: u16,
    flags: u16,
    transaction: u64,
    pipe_kind: u32,
    data_size: u32,
}

/// Packets that [`unread_payload`] looks at; more than a ring of the default size can hold.
const MOST_PACKETS: u32 = 640;

/// Payload bytes in the packets that the guest has not begun to read. `None` when the indices or a packet cannot be true, or there are more
/// packets than we look at. The ring's data is mapped twice in a row, so a packet that wraps is read in one piece.
#[inline(always)]
pub(crate) fn unread_payload(header: u64, chan: u64, size: u32) -> Option<u32> {
    const PAGE: u64 = 4096;
    const TRAILER: i64 = 8;
    const LEAST: i64 = TRAILER + size_of::<PacketHead>() as i64;
    let mut left = unread(header, chan, size)? as i64;
    let mut at = read::field::<u32>(chan, at!(chan_in_priv_read))? as i64;
    // 32 bits wide on purpose: the verifier gives up on its bounds after two turns, and finds all turns' ends alike.
    let mut payload = 0u32;
    let mut packets = 0;
    while packets < MOST_PACKETS {
        if left == 0 {
            return Some(payload);
        }
        // Where memory cannot be read there will be zeros, which are no packet.
        let head: PacketHead = read::or_zero(header + PAGE + at as u64);
        let length = ((head.len8 as i64) << 3) + TRAILER;
        // One branch for all that cannot be: the verifier walks every branch of every turn.
        let data = head.data_size as i64;
        if core::hint::black_box((left - length) | (length - LEAST) | (length - data)) < 0 {
            return None;
        }
        payload = payload.wrapping_add(head.data_size);
        left -= length;
        at += length;
        // Back to the ring's begin when past its end: all bits of the mask are set exactly then.
        at -= size as i64 & core::hint::black_box((size as i64 - 1 - at) >> 63);
        packets += 1;
    }
    None
}

/// In 64 bits, like all that is done with it: on 32 each step would take two more to cut off the other half.
#[inline(always)]
fn distance(write: u32, read: u32, size: u32) -> Option<u64> {
    let (write, read, size) = (u64::from(write), u64::from(read), u64::from(size));
    if write >= size || read >= size {
        return None;
    }
    Some(if write >= read { write - read } else { size - read + write })
}

/// Counts a look at a ring in its occupancy histogram.
#[inline(always)]
pub(crate) fn count_step(occupancy: *mut [u32; OCCUPANCY_STEPS], used: u64, size: u64, reserve: u64) {
    let step = hvsock_common::occupancy_step(used, size, reserve);
    if step < OCCUPANCY_STEPS {
        // SAFETY: bounded just above; the array lies in a slot, of which the caller is the only writer.
        unsafe { *occupancy.cast::<u32>().add(step) += 1 };
    }
}
