//! What stands in a record that was not made by a hook where something is not known.

/// In a record's `state` or `direction`: not known. No state and no direction has this number.
pub(super) const UNTOLD: u32 = u32::MAX;

/// In a port, `VMADDR_PORT_ANY`, which no connection has: not known. In a backlog: not known.
pub(super) const NO_PORT: u32 = u32::MAX;
