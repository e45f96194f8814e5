//! One recorder to a file.

use std::fs::{File, TryLockError};

use super::OutputError;

/// Locks the file until it is closed.
pub(super) fn lock(file: &File, name: &str) -> Result<(), OutputError> {
    match file.try_lock() {
        // A file system without locks is no reason not to record.
        Ok(()) | Err(TryLockError::Error(_)) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OutputError::new(
            format!("somebody else is recording to {name}"),
            "choose another name, or stop the other",
        )),
    }
}
