//! Running a command as somebody who is not root and holds only the named capabilities, and giving capabilities to a file.
//!
//! This is how scenarios prove which privileges hvsock-top needs: either in the way a service manager grants them (ambient
//! capabilities), or in the way `setcap` does (an attribute of the file).

use std::ffi::{CString, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Whoever the command runs as: nobody.
const NOBODY: u32 = 65534;

/// The capabilities of Linux, each at the place of its number (include/uapi/linux/capability.h).
const NAMES: &[&str] = &[
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// A set of capabilities: bit N is number N.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Caps(u64);

impl Caps {
    /// Reads names such as `BPF,PERFMON` or `cap_bpf`; `none` is the empty set.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self(0));
        }
        let mut bits = 0;
        for word in text.split(',') {
            let name = word.trim().to_ascii_uppercase();
            let name = name.strip_prefix("CAP_").unwrap_or(&name);
            let Some(number) = NAMES.iter().position(|n| *n == name) else {
                bail!("there is no capability \"{word}\"");
            };
            bits |= 1 << number;
        }
        Ok(Self(bits))
    }

    fn numbers(self) -> impl Iterator<Item = u32> {
        (0..64).filter(move |n| self.0 & 1 << n != 0)
    }
}

/// Becomes nobody with `caps` as the effective, permitted, inheritable and ambient set, then becomes `words`. Returns only on failure.
pub(crate) fn exec(caps: Caps, words: &[OsString]) -> Result<()> {
    let Some((program, arguments)) = words.split_first() else { bail!("no command") };
    // SAFETY: none of these takes a pointer that outlives the call.
    let ok = unsafe {
        libc::prctl(libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0
            && libc::setgroups(0, std::ptr::null()) == 0
            && libc::setresgid(NOBODY, NOBODY, NOBODY) == 0
            && libc::setresuid(NOBODY, NOBODY, NOBODY) == 0
    };
    if !ok {
        return Err(std::io::Error::last_os_error()).context("cannot become nobody");
    }
    set(caps).context("cannot take the capabilities")?;
    for number in caps.numbers() {
        // SAFETY: takes no pointers.
        let raised =
            unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) } == 0;
        if !raised {
            return Err(std::io::Error::last_os_error())
                .with_context(|| format!("cannot hand on CAP_{}", NAMES[number as usize]));
        }
    }
    let error = Command::new(program).args(arguments).exec();
    Err(error).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

#[repr(C)]
struct Header {
    version: u32,
    pid: i32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Data {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

fn set(caps: Caps) -> std::io::Result<()> {
    // Version 3: 64 bits, low word first; pid 0 is the caller.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let data = [caps.0 as u32, (caps.0 >> 32) as u32].map(|word| Data {
        effective: word,
        permitted: word,
        inheritable: word,
    });
    // SAFETY: both structures are laid out as capset(2) wants them and live until it returns.
    match unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Gives `caps` to a file as `setcap CAPS+ep FILE` does: whoever runs it gets them.
pub(crate) fn give_to_file(caps: Caps, file: &Path) -> Result<()> {
    // struct vfs_cap_data, revision 2, "effective" set; all words little-endian.
    let words = [0x0200_0001, caps.0 as u32, 0, (caps.0 >> 32) as u32, 0];
    let value: Vec<u8> = words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect();
    let path = CString::new(file.as_os_str().as_bytes())?;
    // SAFETY: the strings end with NUL and the value has the length told.
    let done = unsafe {
        libc::setxattr(path.as_ptr(), c"security.capability".as_ptr(), value.as_ptr().cast(), value.len(), 0)
    };
    if done != 0 {
        return Err(std::io::Error::last_os_error())
            .with_context(|| format!("cannot give capabilities to {}", file.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_numbers() {
        assert_eq!(Caps::parse("none").unwrap(), Caps(0));
        assert_eq!(Caps::parse("BPF,cap_perfmon").unwrap(), Caps(1 << 39 | 1 << 38));
        assert_eq!(Caps::parse("SYS_ADMIN,syslog").unwrap(), Caps(1 << 21 | 1 << 34));
        assert_eq!(Caps::parse("CHECKPOINT_RESTORE").unwrap().numbers().collect::<Vec<_>>(), [40]);
        assert!(Caps::parse("BPF,").is_err());
        assert!(Caps::parse("EVERYTHING").is_err());
    }
}
