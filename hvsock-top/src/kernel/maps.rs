//! Reading array maps without system calls.

use std::{
    collections::BTreeMap,
    fs, io,
    marker::PhantomData,
    os::fd::{AsFd as _, AsRawFd, BorrowedFd},
    ptr,
};

use aya::maps::{Map, MapData};
use bytemuck::{AnyBitPattern, Zeroable};

use super::Loaded;

/// The values of an array map created with `BPF_F_MMAPABLE`, mapped read-only.
pub struct Mapped<T> {
    base: *const T,
    len: usize,
    bytes: usize,
    _values: PhantomData<T>,
}

// SAFETY: the mapping is read-only and stays where it is until it is dropped; values are copied out, never borrowed.
unsafe impl<T: Send> Send for Mapped<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Mapped<T> {}

impl<T: AnyBitPattern + Zeroable> Mapped<T> {
    /// Maps `len` values of `map`.
    pub fn new(map: &MapData, len: usize) -> io::Result<Self> {
        const { assert!(size_of::<T>().is_multiple_of(8), "the kernel rounds values up to eight bytes") };
        let bytes = len * size_of::<T>();
        // SAFETY: a new read-only mapping of a file descriptor; the kernel checks the length.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { base: base.cast(), len, bytes, _values: PhantomData })
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// A copy of value `index`, word by word. The kernel may write meanwhile: each aligned word is whole, the value as a whole need not be.
    pub fn read(&self, index: usize) -> T {
        assert!(index < self.len, "value {index} of {}", self.len);
        let mut value = T::zeroed();
        let to = (&raw mut value).cast::<u64>();
        // SAFETY: in bounds by the check above; every bit pattern is a value.
        unsafe {
            let from = self.base.add(index).cast::<u64>();
            for word in 0..size_of::<T>() / 8 {
                to.add(word).write(from.add(word).read_volatile());
            }
        }
        value
    }

    /// The 64-bit word of value `index` that lies `offset` bytes into it.
    pub fn word(&self, index: usize, offset: usize) -> u64 {
        assert!(index < self.len && offset + 8 <= size_of::<T>() && offset.is_multiple_of(8));
        // SAFETY: in bounds and aligned by the check above.
        unsafe { self.base.add(index).cast::<u64>().add(offset / 8).read_volatile() }
    }
}

impl<T> Drop for Mapped<T> {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `new`, unmapped once.
        unsafe { libc::munmap(self.base.cast_mut().cast(), self.bytes) };
    }
}

impl Loaded {
    /// By map: the memory it takes, where the kernel says.
    pub fn map_memory(&self) -> BTreeMap<String, u64> {
        let of = |map: &Map| match map {
            Map::Array(map) | Map::HashMap(map) | Map::RingBuf(map) => memory_of(map.fd().as_fd()),
            _ => None,
        };
        self.ebpf.maps().filter_map(|(name, map)| Some((name.to_owned(), of(map)?))).collect()
    }
}

/// The memory of a map as the kernel counts it (`memlock` in its fdinfo).
fn memory_of(map: BorrowedFd<'_>) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/fdinfo/{}", map.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("memlock:")?.trim().parse().ok())
}
