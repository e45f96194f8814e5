//! What kernel this is.

use std::fs;

use super::{Blind, Symbols};

/// Where hv_sock comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HvSock {
    /// A loaded module.
    Module,
    /// Part of the kernel image.
    Builtin,
    /// Not there.
    Absent,
}

/// Which family Hyper-V sockets belong to here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// AF_VSOCK, with the transport hv_sock.
    Vsock,
    /// AF_HYPERV as it was proposed in 2016 (`tests/af_hyperv`).
    AfHyperv,
}

impl Family {
    /// Known by the function that takes the host's offers; `None`: there is neither. Where there are both, hv_sock is what is meant.
    pub(super) fn of(symbols: &Symbols) -> Option<Self> {
        [Self::Vsock, Self::AfHyperv].into_iter().find(|family| symbols.has(family.probe()))
    }

    fn probe(self) -> &'static str {
        match self {
            Self::Vsock => "hvs_probe",
            Self::AfHyperv => "hvsock_probe",
        }
    }
}

/// What kernel this is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// `uname -r`.
    pub release: String,
    /// Host name.
    pub hostname: String,
    /// Where hv_sock, or AF_HYPERV in its place, comes from.
    pub hv_sock: HvSock,
    /// Which of the two.
    pub family: Family,
    /// VMBus protocol version as `major.minor`, where the kernel says.
    pub vmbus_version: Option<String>,
    /// CPUs there can ever be: one block of counters each.
    pub possible_cpus: u32,
}

impl Facts {
    /// Asks the kernel.
    pub fn from_kernel(symbols: &Symbols) -> Result<Self, Blind> {
        Ok(Self {
            release: line("/proc/sys/kernel/osrelease")?,
            hostname: line("/proc/sys/kernel/hostname")?,
            hv_sock: hv_sock(symbols),
            family: Family::of(symbols).unwrap_or(Family::Vsock),
            vmbus_version: None,
            possible_cpus: count_cpus(&line("/sys/devices/system/cpu/possible")?),
        })
    }
}

/// The protocol version as people write it; `None` before the guest and the host have agreed on one.
pub(super) fn vmbus_version(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{}.{}", number >> 16, number & 0xffff))
}

fn line(path: &str) -> Result<String, Blind> {
    fs::read_to_string(path)
        .map(|text| text.trim().to_owned())
        .map_err(|e| Blind::Read { path: path.into(), reason: e.to_string() })
}

fn hv_sock(symbols: &Symbols) -> HvSock {
    match Family::of(symbols).map(|family| symbols.module_of(family.probe())) {
        None => HvSock::Absent,
        Some(Some(_)) => HvSock::Module,
        Some(None) => HvSock::Builtin,
    }
}

/// One more than the highest number in a list such as `0-3,8`.
fn count_cpus(list: &str) -> u32 {
    list.split([',', '-']).filter_map(|n| n.trim().parse::<u32>().ok()).max().map_or(1, |highest| highest + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_understood() {
        assert_eq!(count_cpus("0"), 1);
        assert_eq!(count_cpus("0-3"), 4);
        assert_eq!(count_cpus("0-1,4-5"), 6);
        assert_eq!(count_cpus(""), 1);
    }

    #[test]
    fn vmbus_versions_are_told_as_people_write_them() {
        assert_eq!(vmbus_version(5 << 16 | 3).as_deref(), Some("5.3"));
        assert_eq!(vmbus_version(4 << 16).as_deref(), Some("4.0"));
        assert_eq!(vmbus_version(0), None);
    }

    #[test]
    fn hv_sock_is_told_by_its_symbols() {
        let module = Symbols::parse("0 t hvs_probe [hv_sock]", |_| true);
        let builtin = Symbols::parse("0 t hvs_probe", |_| true);
        assert_eq!(hv_sock(&module), HvSock::Module);
        assert_eq!(hv_sock(&builtin), HvSock::Builtin);
        assert_eq!(hv_sock(&Symbols::default()), HvSock::Absent);
        assert_eq!((Family::of(&builtin), Family::of(&Symbols::default())), (Some(Family::Vsock), None));
        let other = Symbols::parse("0 t hvsock_probe [af_hyperv]", |_| true);
        assert_eq!((hv_sock(&other), Family::of(&other)), (HvSock::Module, Some(Family::AfHyperv)));
    }
}
