//! hv_sock's channels, as VMBus sysfs shows them to everyone: relid, GUIDs, state, rings. It does not say who connected.

use std::{fs, io, path::Path};

use super::super::guid;

/// Where the kernel shows the devices that hv_sock drives, one for each channel.
pub(super) const DRIVEN: &str = "/sys/bus/vmbus/drivers/hv_sock";

/// `CHANNEL_OPENED_STATE` (enum vmbus_channel_state, include/linux/hyperv.h).
const OPENED: u64 = 3;

/// Rings are made of pages of this size, whatever the guest's page size is.
pub(super) const PAGE: u32 = 4096;

/// How often a ring is looked at before its size counts as unknown.
const TRIES: usize = 8;

/// A channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Channel {
    pub relid: u32,
    /// Whether it is open. An offer is not yet, and if hv_sock turns it down it never will be.
    pub open: bool,
    /// `offer.if_type`: the service connected to.
    pub service: [u8; 16],
    /// `offer.if_instance`: the connection.
    pub instance: [u8; 16],
    /// Data bytes of the ring from guest to host.
    pub out_size: Option<u32>,
    /// And of the other one.
    pub in_size: Option<u32>,
    /// Whether something lies in it that the guest has not read.
    pub unread: Option<bool>,
}

/// All channels of hv_sock.
pub(super) fn list(driven: &Path) -> io::Result<Vec<Channel>> {
    let mut channels = Vec::new();
    for entry in fs::read_dir(driven)? {
        let device = entry?.path();
        // Other entries than devices have no such file; and a device may go while we look.
        channels.extend(channel(&device));
    }
    Ok(channels)
}

/// Whether the channel of this device is open.
pub(super) fn is_open(device: &Path) -> bool {
    number(device, "state") == Some(OPENED)
}

fn channel(device: &Path) -> Option<Channel> {
    let text = |name: &str| fs::read_to_string(device.join(name)).ok();
    let guid = |name: &str| guid::parse(&text(name)?);
    let instance = guid("device_id")?;
    Some(Channel {
        relid: number(device, "id")?.try_into().ok()?,
        open: number(device, "state")? == OPENED,
        service: guid("class_id")?,
        instance,
        out_size: ring_size(device, "out"),
        in_size: ring_size(device, "in"),
        unread: number(device, "in_read_bytes_avail").map(|bytes| bytes > 0),
    })
}

/// What can be read from a ring and what can be written to it, both of one look at its two indices, add up to its size. The kernel tells
/// them one at a time. So it counts only if the one is the same before and after the other, and the sum is a whole number of pages.
fn ring_size(device: &Path, which: &str) -> Option<u32> {
    let to_read = || number(device, &format!("{which}_read_bytes_avail"));
    for _ in 0..TRIES {
        let before = to_read()?;
        let sum = before + number(device, &format!("{which}_write_bytes_avail"))?;
        if to_read()? == before && sum > 0 && sum.is_multiple_of(u64::from(PAGE)) {
            return sum.try_into().ok();
        }
    }
    None
}

fn number(device: &Path, name: &str) -> Option<u64> {
    fs::read_to_string(device.join(name)).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hvsock-top-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn device(&self, name: &str, files: &[(&str, &str)]) {
            fs::create_dir_all(self.0.join(name)).unwrap();
            for (file, text) in files {
                fs::write(self.0.join(name).join(file), format!("{text}\n")).unwrap();
            }
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    const FILES: &[(&str, &str)] = &[
        ("id", "3"),
        ("class_id", "{00001772-facb-11e6-bd58-64006a7986d3}"),
        ("device_id", "{70000001-facb-11e6-bd58-64006a7986d3}"),
        ("state", "3"),
        ("out_read_bytes_avail", "40"),
        ("out_write_bytes_avail", "24536"),
        ("in_read_bytes_avail", "0"),
        ("in_write_bytes_avail", "20480"),
    ];

    fn with(change: (&'static str, &'static str)) -> Vec<(&'static str, &'static str)> {
        FILES.iter().map(|file| if file.0 == change.0 { change } else { *file }).collect()
    }

    #[test]
    fn channels_are_found_and_the_rest_is_not() {
        let folder = Folder::new("open");
        folder.device("70000001-facb-11e6-bd58-64006a7986d3", FILES);
        folder.device("offered", &with(("state", "0")));
        folder.device("foreign", &with(("device_id", "nonsense")));
        folder.device("module", &[]);
        fs::write(folder.0.join("bind"), "").unwrap();
        let channel = Channel {
            relid: 3,
            open: true,
            service: guid::parse("00001772-facb-11e6-bd58-64006a7986d3").unwrap(),
            instance: guid::parse("70000001-facb-11e6-bd58-64006a7986d3").unwrap(),
            out_size: Some(24576),
            in_size: Some(20480),
            unread: Some(false),
        };
        let mut found = list(&folder.0).unwrap();
        found.sort_by_key(|c| !c.open);
        assert_eq!(found, [channel, Channel { open: false, ..channel }]);
        assert!(is_open(&folder.0.join("70000001-facb-11e6-bd58-64006a7986d3")));
        assert!(!is_open(&folder.0.join("offered")) && !is_open(&folder.0.join("gone")));
        assert!(list(Path::new("/no/such/folder")).is_err());
    }

    #[test]
    fn a_ring_that_does_not_add_up_has_no_size() {
        let folder = Folder::new("rings");
        folder.device("torn", &with(("out_write_bytes_avail", "24500")));
        folder.device("closed", &with(("in_write_bytes_avail", "")));
        let of = |name: &str| channel(&folder.0.join(name)).unwrap();
        assert_eq!((of("torn").out_size, of("torn").in_size), (None, Some(20480)));
        assert_eq!((of("closed").out_size, of("closed").in_size), (Some(24576), None));
    }
}
