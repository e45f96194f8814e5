//! What sysfs and the offer table say of the VMBus.

use std::{fs, os::linux::fs::MetadataExt as _, path::Path};

use hvsock_common::MAX_RELIDS;

use crate::kernel::Mapped;

/// Where the kernel shows VMBus devices.
const DEVICES: &str = "/sys/bus/vmbus/devices";

/// Channels that exist, of all VMBus devices, the sub-channels of network and storage adapters among them. `None` when sysfs does not
/// show them. Each channel is a folder; a folder's link count is two more than its folders, so no folder needs to be read.
pub(super) fn channels() -> Option<u64> {
    count(Path::new(DEVICES))
}

fn count(devices: &Path) -> Option<u64> {
    let mut channels = 0;
    for device in fs::read_dir(devices).ok()? {
        // A device may go while we look.
        let Ok(metadata) = fs::metadata(device.ok()?.path().join("channels")) else { continue };
        channels += metadata.st_nlink().saturating_sub(2);
    }
    Some(channels)
}

/// Offers that no probe has begun to handle.
pub(super) struct Waiting {
    /// How many.
    pub count: u64,
    /// When the oldest came in.
    pub oldest_ns: Option<u64>,
}

/// Reads the table of offers.
pub(super) fn waiting(offered: &Mapped<u64>) -> Waiting {
    of((0..MAX_RELIDS.min(offered.len())).map(|relid| offered.word(relid, 0)))
}

/// Of the times at which offers came in, zero where none waits.
fn of(times: impl Iterator<Item = u64>) -> Waiting {
    let mut waiting = Waiting { count: 0, oldest_ns: None };
    for ns in times.filter(|ns| *ns != 0) {
        waiting.count += 1;
        waiting.oldest_ns = Some(waiting.oldest_ns.map_or(ns, |oldest| oldest.min(ns)));
    }
    waiting
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_vmbus_is_unknown_not_zero() {
        assert_eq!(count(Path::new("/no/such/folder")), None);
    }

    #[test]
    fn the_oldest_offer_is_the_one_that_came_first() {
        let waiting = of([0, 70, 50, 0, 90].into_iter());
        assert_eq!((waiting.count, waiting.oldest_ns), (3, Some(50)));
        let none = of([0, 0].into_iter());
        assert_eq!((none.count, none.oldest_ns), (0, None));
    }
}
