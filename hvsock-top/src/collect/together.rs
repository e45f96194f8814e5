//! Events that only tell something together.

use hvsock_common::Hook;

/// A send stall begins at one event and ends at either of two; the next is counted only when it has ended.
pub(super) const STALL: &[Hook] = &[Hook::SendBlock, Hook::SendReady, Hook::SendEnd];
/// The same for a reader's wait.
pub(super) const WAIT: &[Hook] = &[Hook::RecvBlock, Hook::Dequeue, Hook::RecvEnd];
/// The first byte goes either way: with one of them unseen, the first that is seen may not be it.
pub(super) const FIRST_BYTE: &[Hook] = &[Hook::Enqueue, Hook::Dequeue];
/// A close ends by the host's answer or by time-out: with one of them unseen, the other is taken for it.
pub(super) const CLOSE: &[Hook] = &[Hook::Release, Hook::Rescind, Hook::CloseTimeout];
