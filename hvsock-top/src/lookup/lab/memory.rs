//! The memory that the programs walk: BPF maps, mapped here for reading and writing; or as much plain memory, where there is no kernel to ask.

use std::{
    io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr,
};

use aya::maps::MapData;
use bytemuck::Pod;
use hvsock_common::{
    LAB_BATCH, LAB_BUCKETS, LAB_GROWN, LAB_NODES, LAB_RELIDS, LabKey, LabNode, LabState, Link,
};

/// Values that lie one after the other in memory that the kernel may share. It is touched by one thread, and by programs that this thread
/// runs, so never at the same time.
pub(super) struct Values<T> {
    base: *mut T,
    len: usize,
}

impl<T: Pod> Values<T> {
    /// The values of an array map made with `BPF_F_MMAPABLE`.
    pub(super) fn of_map(map: &MapData, len: u32) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8), "the kernel rounds values up to eight bytes") };
        Self::mapped(len, libc::MAP_SHARED, map.fd().as_fd().as_raw_fd())
    }

    /// Zeroes, in memory of our own.
    #[cfg(test)]
    pub(super) fn plain(len: u32) -> io::Result<Self> {
        Self::mapped(len, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1)
    }

    fn mapped(len: u32, flags: libc::c_int, fd: libc::c_int) -> io::Result<Self> {
        let len = len as usize;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping; the kernel checks descriptor and length.
        let base = unsafe { libc::mmap(ptr::null_mut(), len * size_of::<T>(), protection, flags, fd, 0) };
        if base == libc::MAP_FAILED {
            Err(io::Error::last_os_error())
        } else {
            Ok(Self { base: base.cast(), len })
        }
    }

    /// A copy of value `index`.
    pub(super) fn read(&self, index: u32) -> T {
        // SAFETY: `at` is in bounds, every bit pattern is a value, and nobody writes meanwhile.
        unsafe { self.at(index).read_volatile() }
    }

    /// Changes value `index` in place.
    pub(super) fn change(&mut self, index: u32, change: impl FnOnce(&mut T)) {
        // SAFETY: as above; the reference ends with the call.
        change(unsafe { &mut *self.at(index) });
    }

    /// Where value `index` lies.
    pub(super) fn at(&self, index: u32) -> *mut T {
        assert!((index as usize) < self.len, "value {index} of {}", self.len);
        // SAFETY: in bounds by the check above.
        unsafe { self.base.add(index as usize) }
    }

    /// Makes all values zero.
    pub(super) fn clear(&mut self) {
        // SAFETY: the whole mapping; zero is a value.
        unsafe { self.base.write_bytes(0, self.len) };
    }
}

impl<T> Values<T> {
    fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl<T> Drop for Values<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `mapped`, unmapped once.
        unsafe { libc::munmap(self.base.cast(), self.bytes()) };
    }
}

/// All memory of the laboratory.
pub(super) struct Memory {
    pub(super) nodes: Values<LabNode>,
    pub(super) heads: Values<Link>,
    pub(super) grown: Values<u64>,
    pub(super) pointers: Values<u64>,
    pub(super) keys: Values<LabKey>,
    pub(super) state: Values<LabState>,
}

impl Memory {
    /// The memory of the maps that `map` gives by name.
    pub(super) fn of_maps<'a, E: From<io::Error>>(
        map: impl Fn(&'static str) -> Result<&'a MapData, E>,
    ) -> Result<Self, E> {
        Ok(Self {
            nodes: Values::of_map(map("NODES")?, LAB_NODES)?,
            heads: Values::of_map(map("HEADS")?, LAB_BUCKETS)?,
            grown: Values::of_map(map("GROWN")?, LAB_GROWN)?,
            pointers: Values::of_map(map("POINTERS")?, LAB_RELIDS)?,
            keys: Values::of_map(map("KEYS")?, LAB_BATCH)?,
            state: Values::of_map(map("STATE")?, 1)?,
        })
    }

    /// Memory of our own.
    #[cfg(test)]
    pub(super) fn plain() -> io::Result<Self> {
        Ok(Self {
            nodes: Values::plain(LAB_NODES)?,
            heads: Values::plain(LAB_BUCKETS)?,
            grown: Values::plain(LAB_GROWN)?,
            pointers: Values::plain(LAB_RELIDS)?,
            keys: Values::plain(LAB_BATCH)?,
            state: Values::plain(1)?,
        })
    }

    /// How much that is.
    pub(super) fn bytes(&self) -> u64 {
        (self.nodes.bytes()
            + self.heads.bytes()
            + self.grown.bytes()
            + self.pointers.bytes()
            + self.keys.bytes()
            + self.state.bytes()) as u64
    }
}
