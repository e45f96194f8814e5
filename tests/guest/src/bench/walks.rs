//! How many sockets a lookup must compare, from nothing but the order in which they came.

/// Buckets of every hash here, as vsock has them.
const BUCKETS: u32 = 251;

/// How sockets are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// In one list, the newest first.
    List,
    /// In lists by the remainder of their key, the newest first.
    Hash,
    /// With what is looked for.
    Pointer,
}

impl Kept {
    fn same(self, a: u32, b: u32) -> bool {
        match self {
            Self::List => true,
            Self::Hash => a % BUCKETS == b % BUCKETS,
            Self::Pointer => false,
        }
    }

    /// Looking for the socket at `place` of `keys`, the oldest first.
    pub(super) fn hit(self, keys: &[u32], place: usize) -> u64 {
        1 + self.compared(&keys[place + 1..], keys[place])
    }

    /// Looking for one that is not there.
    pub(super) fn miss(self, keys: &[u32], key: u32) -> u64 {
        // That a pointer leads to a socket which has been taken out is seen at the socket.
        u64::from(self == Self::Pointer) + self.compared(keys, key)
    }

    fn compared(self, keys: &[u32], key: u32) -> u64 {
        keys.iter().filter(|k| self.same(**k, key)).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [u32; 5] = [1, 252, 2, 503, 253];

    #[test]
    fn a_list_is_walked_from_the_newest() {
        let hits: Vec<_> = (0..5).map(|i| Kept::List.hit(&KEYS, i)).collect();
        assert_eq!(hits, [5, 4, 3, 2, 1]);
        assert_eq!(Kept::List.miss(&KEYS, 7), 5);
    }

    #[test]
    fn a_hash_is_walked_by_bucket() {
        let hits: Vec<_> = (0..5).map(|i| Kept::Hash.hit(&KEYS, i)).collect();
        assert_eq!(hits, [3, 2, 2, 1, 1]);
        assert_eq!((Kept::Hash.miss(&KEYS, 754), Kept::Hash.miss(&KEYS, 7)), (3, 0));
    }

    #[test]
    fn a_pointer_leads_to_one() {
        assert_eq!((Kept::Pointer.hit(&KEYS, 0), Kept::Pointer.miss(&KEYS, 7)), (1, 1));
    }
}
