//! The few error numbers that outcomes are told by (include/uapi/asm-generic/errno.h), negative as functions return them.

pub(crate) const EPERM: i32 = -1;
pub(crate) const EAGAIN: i32 = -11;
pub(crate) const ENOMEM: i32 = -12;
pub(crate) const EACCES: i32 = -13;
pub(crate) const ENODEV: i32 = -19;
