//! Lifecycle events: the only thing that goes through the ring buffer, a few per connection.

use crate::ConnRecord;

/// What happened.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A connection is established.
    Opened = 1,
    /// An offer came to nothing; `detail` is the [`crate::OpenResult`].
    OpenFailed = 2,
    /// A connection was accepted.
    Accepted = 3,
    /// A connection is gone; the record is its last.
    Closed = 4,
    /// A guest connect came to nothing; `detail` is the [`crate::ConnectResult`].
    ConnectFailed = 5,
}

impl EventKind {
    /// The kind with this number.
    pub const fn from_u32(value: u32) -> Option<Self> {
        Some(match value {
            1 => EventKind::Opened,
            2 => EventKind::OpenFailed,
            3 => EventKind::Accepted,
            4 => EventKind::Closed,
            5 => EventKind::ConnectFailed,
            _ => return None,
        })
    }
}

/// One lifecycle event.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
pub struct Event {
    /// When.
    pub time_ns: u64,
    /// [`EventKind`].
    pub kind: u32,
    /// Depends on the kind.
    pub detail: u32,
    /// errno or the like, else zero.
    pub error: i32,
    /// The thread group in whose context it happened, for accepts and connects; zero: none.
    pub pid: u32,
    /// Keeps the record aligned.
    pub reserved: [u64; 5],
    /// The connection; for failures, what was known of it.
    pub record: ConnRecord,
}
