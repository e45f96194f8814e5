//! What can be learnt about this machine without any privilege and without touching anything: for `doctor`.
//!
//! Nothing here fails: what cannot be found out is `None`.

use std::{
    ffi::CString,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
};

use caps::Capability;

use super::{MODULES, Symbols};

/// Whether a part of the kernel is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// As a loaded module.
    Module,
    /// In the kernel image.
    Builtin,
    /// Not.
    Absent,
}

/// Where a part's types are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BtfIn {
    /// In BTF of its own.
    Module,
    /// In the kernel image's.
    Image,
    /// Nowhere.
    Nowhere,
}

/// A part of the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name.
    pub name: &'static str,
    /// Whether it is there.
    pub presence: Option<Presence>,
    /// Where its types are described.
    pub btf: BtfIn,
    /// Whether it lies under `/lib/modules`, ready to be loaded; `None` if it is there already.
    pub loadable: Option<bool>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// `uname -r`.
    pub release: Option<String>,
    /// hv_vmbus, vsock, hv_sock.
    pub parts: Vec<Part>,
    /// Whether the kernel image has BTF.
    pub image_btf: bool,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i64>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Option<i64>,
    /// Kernel lockdown; `None`: securityfs is not mounted, or the kernel has no lockdown.
    pub lockdown: Option<String>,
    /// Whether this is the first user namespace.
    pub initial_user_namespace: Option<bool>,
    /// Whether exec may not add privileges.
    pub no_new_privs: Option<bool>,
    /// Whether a seccomp filter is in force.
    pub seccomp_filter: Option<bool>,
    /// Where tracefs is mounted.
    pub tracefs: Option<PathBuf>,
    /// Whether its events can be listed.
    pub tracefs_readable: Option<bool>,
    /// Where the BPF file system is mounted.
    pub bpffs: Option<PathBuf>,
}

/// A function of each part that no kernel has been without, to know a built-in part by. A module need not be known by it.
fn landmark(part: &str) -> &'static str {
    match part {
        "hv_vmbus" => "vmbus_open",
        "vsock" => "vsock_insert_connected",
        _ => "hvs_probe",
    }
}

/// Looks around.
pub fn survey() -> Survey {
    let wanted = |name: &str| MODULES.iter().any(|part| landmark(part) == name);
    Survey::from_root(Path::new("/"), Symbols::from_kernel(wanted).ok().as_ref())
}

impl Survey {
    /// Looks around under `root`; `symbols` has the landmarks.
    pub fn from_root(root: &Path, symbols: Option<&Symbols>) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let line = |path: &str| text(path).map(|t| t.trim().to_owned());
        let number = |name: &str| line(&format!("proc/sys/kernel/{name}"))?.parse().ok();
        let release = line("proc/sys/kernel/osrelease");
        let status = text("proc/self/status");
        let mounts = text("proc/self/mounts");
        let mounted = |kind: &str| mounts.as_deref().and_then(|m| mount_point(m, kind));
        let tracefs = mounted("tracefs");
        let modules_dir = release.as_ref().map(|r| root.join("lib/modules").join(r));
        let part = |name: &'static str| {
            let presence = presence(root, modules_dir.as_deref(), symbols, name);
            Part {
                name,
                presence,
                btf: btf(root, name, presence),
                loadable: (presence == Some(Presence::Absent))
                    .then(|| lists(modules_dir.as_deref()?, "modules.dep", name))
                    .flatten(),
            }
        };
        Self {
            parts: MODULES.map(part).to_vec(),
            image_btf: root.join("sys/kernel/btf/vmlinux").exists(),
            release,
            perf_event_paranoid: number("perf_event_paranoid"),
            unprivileged_bpf_disabled: number("unprivileged_bpf_disabled"),
            kptr_restrict: number("kptr_restrict"),
            lockdown: text("sys/kernel/security/lockdown").as_deref().and_then(chosen),
            initial_user_namespace: text("proc/self/uid_map").as_deref().map(is_initial),
            no_new_privs: status.as_deref().and_then(|s| flag(s, "NoNewPrivs:")),
            seccomp_filter: status.as_deref().and_then(|s| field(s, "Seccomp:")).map(|mode| mode == "2"),
            tracefs_readable: tracefs.as_ref().map(|at| {
                let at = at.strip_prefix("/").unwrap_or(at);
                fs::read_dir(root.join(at).join("events")).is_ok()
            }),
            tracefs,
            bpffs: mounted("bpf"),
        }
    }

    /// A part by its name.
    pub fn part(&self, name: &str) -> Option<&Part> {
        self.parts.iter().find(|part| part.name == name)
    }
}

fn presence(
    root: &Path,
    modules_dir: Option<&Path>,
    symbols: Option<&Symbols>,
    name: &str,
) -> Option<Presence> {
    let folder = root.join("sys/module").join(name);
    // Only modules have a state; the folder alone is there for built-in parts with parameters too.
    if folder.join("initstate").exists() {
        return Some(Presence::Module);
    }
    let landmark = landmark(name);
    if symbols.is_some_and(|s| s.has(landmark) && s.module_of(landmark).is_none())
        || modules_dir.and_then(|dir| lists(dir, "modules.builtin", name)) == Some(true)
    {
        return Some(Presence::Builtin);
    }
    // Without symbols and without a list of what is built in, nobody knows.
    (symbols.is_some() || modules_dir.is_some_and(|d| d.join("modules.builtin").exists()))
        .then_some(Presence::Absent)
}

fn btf(root: &Path, name: &str, presence: Option<Presence>) -> BtfIn {
    let folder = root.join("sys/kernel/btf");
    if folder.join(name).exists() {
        BtfIn::Module
    } else if presence == Some(Presence::Builtin) && folder.join("vmlinux").exists() {
        BtfIn::Image
    } else {
        BtfIn::Nowhere
    }
}

/// Whether the list `file` of a module folder has `name`. In file names `-` and `_` are the same.
fn lists(dir: &Path, file: &str, name: &str) -> Option<bool> {
    let text = fs::read_to_string(dir.join(file)).ok()?;
    Some(text.lines().any(|line| {
        let path = line.split(':').next().unwrap_or_default();
        let stem = path.rsplit('/').next().unwrap_or_default().split(".ko").next().unwrap_or_default();
        stem.replace('-', "_") == name
    }))
}

/// Where a file system of this kind is mounted first.
fn mount_point(mounts: &str, kind: &str) -> Option<PathBuf> {
    mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (_device, at, found) = (words.next()?, words.next()?, words.next()?);
        (found == kind).then(|| PathBuf::from(at))
    })
}

/// The word in brackets of a list of choices.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

/// The first user namespace maps every id to itself.
fn is_initial(uid_map: &str) -> bool {
    uid_map.split_whitespace().eq(["0", "0", "4294967295"])
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim)
}

fn flag(status: &str, name: &str) -> Option<bool> {
    match field(status, name)? {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// What the processor says it runs under; `None`: nothing, or it does not say.
pub fn hypervisor() -> Option<String> {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::__cpuid;
        // Bit 31 of leaf 1 says that there is a hypervisor, which then answers at its own leaf.
        if __cpuid(1).ecx >> 31 == 0 {
            return None;
        }
        let answer = __cpuid(0x4000_0000);
        let bytes: Vec<u8> =
            [answer.ebx, answer.ecx, answer.edx].iter().flat_map(|word| word.to_le_bytes()).collect();
        let name = String::from_utf8_lossy(&bytes).trim_end_matches('\0').trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
    #[cfg(not(target_arch = "x86_64"))]
    None
}

/// Whether the file system that `file` is on gives no privileges at exec.
pub fn is_nosuid(file: &Path) -> Option<bool> {
    let path = CString::new(file.as_os_str().as_bytes()).ok()?;
    // SAFETY: plain data.
    let mut found: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with NUL and the structure is there to be written.
    let done = unsafe { libc::statvfs(path.as_ptr(), &raw mut found) } == 0;
    done.then_some(found.f_flag & libc::ST_NOSUID != 0)
}

/// The capabilities that `file` gives to whoever runs it.
pub fn file_capabilities(file: &Path) -> Option<Vec<Capability>> {
    let path = CString::new(file.as_os_str().as_bytes()).ok()?;
    let mut value = [0u8; 64];
    // SAFETY: the strings end with NUL and the buffer has the length told.
    let length = unsafe {
        libc::getxattr(path.as_ptr(), c"security.capability".as_ptr(), value.as_mut_ptr().cast(), value.len())
    };
    if length < 0 {
        let error = std::io::Error::last_os_error().raw_os_error();
        return matches!(error, Some(libc::ENODATA | libc::EOPNOTSUPP)).then(Vec::new);
    }
    in_attribute(value.get(..length as usize)?)
}

/// The permitted set in a `security.capability` attribute (struct vfs_cap_data, revisions 2 and 3).
fn in_attribute(value: &[u8]) -> Option<Vec<Capability>> {
    let word = |at: usize| Some(u32::from_le_bytes(value.get(at..at + 4)?.try_into().ok()?));
    if !matches!(word(0)? >> 24, 2 | 3) {
        return None;
    }
    let permitted = u64::from(word(4)?) | u64::from(word(12)?) << 32;
    let mut found: Vec<_> = caps::all().into_iter().filter(|c| permitted & c.bitmask() != 0).collect();
    found.sort_by_key(Capability::index);
    Some(found)
}

#[cfg(test)]
#[path = "survey_tests.rs"]
mod tests;
