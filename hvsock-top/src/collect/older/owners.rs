//! Which process has which socket open: `/proc/PID/fd/N` names the socket's inode.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, ErrorKind},
    path::Path,
};

/// `PF_KTHREAD` (include/linux/sched.h).
const KERNEL_THREAD: u64 = 0x0020_0000;

/// A process that has a socket open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub pid: u32,
    pub comm: [u8; 16],
    /// The lowest of its descriptors of the socket.
    pub fd: u32,
}

/// What a walk through `/proc` found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners {
    /// By the socket's inode.
    pub by_inode: BTreeMap<u32, Owner>,
    /// Processes whose open files we may not see, if that may be why a socket's owner was not found.
    pub unseen: usize,
}

/// Looks for the owners of these sockets. If several processes have one open, the first is told, as the iterator does.
pub(super) fn find(proc: &Path, wanted: &BTreeSet<u32>) -> Owners {
    let mut found = Owners::default();
    let numbers = |path: &Path| -> io::Result<BTreeSet<u32>> {
        let names = fs::read_dir(path)?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        Ok(names.collect())
    };
    for pid in numbers(proc).unwrap_or_default() {
        if found.by_inode.len() == wanted.len() {
            // Whoever has not been looked at does not matter.
            found.unseen = 0;
            return found;
        }
        let process = proc.join(pid.to_string());
        let mut refused = false;
        match numbers(&process.join("fd")) {
            Ok(fds) => {
                for fd in fds {
                    match fs::read_link(process.join("fd").join(fd.to_string())) {
                        Ok(target) => {
                            let Some(inode) = target.to_str().and_then(inode).filter(|i| wanted.contains(i))
                            else {
                                continue;
                            };
                            let comm = comm(&process);
                            found.by_inode.entry(inode).or_insert(Owner { pid, comm, fd });
                        }
                        Err(error) => refused |= error.kind() == ErrorKind::PermissionDenied,
                    }
                }
            }
            // One that has ended meanwhile is none that we may not see.
            Err(error) => refused = error.kind() == ErrorKind::PermissionDenied,
        }
        found.unseen += usize::from(refused && !is_kernel_thread(&process));
    }
    if found.by_inode.len() == wanted.len() {
        found.unseen = 0;
    }
    found
}

/// The inode in `socket:[12345]`.
fn inode(target: &str) -> Option<u32> {
    target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn comm(process: &Path) -> [u8; 16] {
    let mut comm = [0; 16];
    let text = fs::read(process.join("comm")).unwrap_or_default();
    let text = text.strip_suffix(b"\n").unwrap_or(&text);
    // The kernel keeps 15 bytes and a zero.
    let len = text.len().min(15);
    comm[..len].copy_from_slice(&text[..len]);
    comm
}

/// Kernel threads have no files; nobody may look at them, which does not matter. `stat` may be read by everyone.
fn is_kernel_thread(process: &Path) -> bool {
    let text = fs::read_to_string(process.join("stat")).unwrap_or_default();
    // The name, in parentheses, may contain anything; the flags are the seventh word after it.
    let flags =
        text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(6)?.parse::<u64>().ok());
    flags.is_some_and(|flags| flags & KERNEL_THREAD != 0)
}

#[cfg(test)]
mod tests {
    use std::os::{fd::AsRawFd as _, unix::net::UnixStream};

    use super::*;

    #[test]
    fn our_own_socket_is_found_by_its_inode() {
        let (one, _other) = UnixStream::pair().unwrap();
        let link = fs::read_link(format!("/proc/self/fd/{}", one.as_raw_fd())).unwrap();
        let wanted = BTreeSet::from([inode(link.to_str().unwrap()).unwrap()]);
        let found = find(Path::new("/proc"), &wanted);
        let owner = found.by_inode.values().next().unwrap();
        assert_eq!((owner.pid, owner.fd), (std::process::id(), one.as_raw_fd() as u32));
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(owner.comm.starts_with(comm.trim_end().as_bytes()) && owner.comm[15] == 0);
        assert_eq!(found.unseen, 0, "all that was wanted was found");
    }

    #[test]
    fn nothing_is_looked_at_when_nothing_is_wanted() {
        assert_eq!(find(Path::new("/proc"), &BTreeSet::new()), Owners::default());
        assert_eq!(find(Path::new("/no/such/folder"), &BTreeSet::from([7])), Owners::default());
    }

    #[test]
    fn only_sockets_have_a_sockets_inode() {
        assert_eq!(inode("socket:[338]"), Some(338));
        for other in ["pipe:[338]", "socket:[]", "socket:[338", "/dev/null", "socket:[99999999999]"] {
            assert_eq!(inode(other), None, "{other}");
        }
    }

    #[test]
    fn kernel_threads_are_told_from_processes() {
        assert!(!is_kernel_thread(Path::new("/proc/self")));
        let folder = std::env::temp_dir().join(format!("hvsock-top-owners-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("stat"), "2 (a) b) S 0 0 0 0 -1 2129984 0 0").unwrap();
        assert!(is_kernel_thread(&folder));
        fs::remove_dir_all(&folder).unwrap();
    }
}
