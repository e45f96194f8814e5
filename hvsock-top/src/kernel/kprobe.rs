//! Kprobes whose attachment can be asked what it has missed, as the kernel says since 6.7.
//!
//! aya attaches them in the same way, but keeps the descriptor of the link to itself, and that is what the kernel has to be asked with.

use std::{
    fs, io,
    os::fd::{AsFd as _, OwnedFd},
    path::Path,
};

use aya::programs::{KProbe, ProbeKind};

use super::sys;

/// Where the kernel says how to ask for a kprobe (`Documentation/ABI/testing/sysfs-bus-event_source-devices-*`, kernel/events/core.c).
const KPROBES: &str = "/sys/bus/event_source/devices/kprobe";

/// An attached program; dropping it detaches it.
pub(super) struct Attached {
    /// Its name in the object.
    pub program: String,
    link: OwnedFd,
}

impl Attached {
    /// Attaches a loaded program to a function, at its entry or where it returns, as the program's kind says.
    pub(super) fn new(name: &str, program: &KProbe, symbol: &str) -> io::Result<Self> {
        let at_return = match program.kind() {
            ProbeKind::Entry => 0,
            ProbeKind::Return => bit(&read("format/retprobe")?)?,
        };
        let kind = number(&read("type")?)?;
        let fd = program.fd().map_err(io::Error::other)?;
        let link = sys::attach_kprobe(fd.as_fd(), kind, at_return, symbol)?;
        Ok(Self { program: name.to_owned(), link })
    }

    /// How often the function was called, or returned, and the program did not run: in the handler of another kprobe on that CPU, or because more
    /// threads were inside than the kernel keeps returns for. What a running program prevented counts with the program.
    pub(super) fn missed(&self) -> Option<u64> {
        sys::kprobe_missed(self.link.as_fd())
    }
}

fn read(name: &str) -> io::Result<String> {
    let path = Path::new(KPROBES).join(name);
    fs::read_to_string(&path).map_err(|e| io::Error::new(e.kind(), format!("{}: {e}", path.display())))
}

fn number(text: &str) -> io::Result<u32> {
    text.trim().parse().map_err(|_| unknown(text))
}

/// The bit of `config`, described as `config:N`.
fn bit(text: &str) -> io::Result<u64> {
    let place = text.trim().strip_prefix("config:").and_then(|n| n.parse::<u32>().ok());
    place.and_then(|n| 1_u64.checked_shl(n)).ok_or_else(|| unknown(text))
}

fn unknown(text: &str) -> io::Error {
    io::Error::other(format!("{KPROBES} says what is not understood: {}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_of_its_kprobes_is_read() {
        assert_eq!(number("8\n").unwrap(), 8);
        assert_eq!(bit("config:0\n").unwrap(), 1);
        assert_eq!(bit("config:3").unwrap(), 8);
        assert!(number("x").is_err() && bit("config1:0").is_err() && bit("config:64").is_err());
    }
}
