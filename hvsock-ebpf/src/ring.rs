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
pub(crate) fn used(header: u64, size: u32) -> Option<u32> {
    let at: Indices = read::field(header, at!(ring_write_index))?;
    distance(at.write, at.read, size)
}

/// Bytes between `priv_read` (the guest's own read index) and the host's write index.
#[inline(always)]
pub(crate) fn unread(header: u64, chan: u64, size: u32) -> Option<u32> {
    let write: u32 = read::field(header, at!(ring_write_index))?;
    let read: u32 = read::field(chan, at!(chan_in_priv_read))?;
    distance(write, read, size)
}

#[inline(always)]
fn distance(write: u32, read: u32, size: u32) -> Option<u32> {
    if write >= size || read >= size {
        return None;
    }
    Some(if write >= read { write - read } else { size - read + write })
}

/// Counts a look at a ring in its occupancy histogram.
#[inline(always)]
pub(crate) fn count_step(occupancy: *mut [u32; OCCUPANCY_STEPS], used: u32, size: u32, reserve: u32) {
    let step = hvsock_common::occupancy_step(used, size, reserve);
    if step < OCCUPANCY_STEPS {
        // SAFETY: bounded just above; the array lies in a slot, of which the caller is the only writer.
        unsafe { *occupancy.cast::<u32>().add(step) += 1 };
    }
}
