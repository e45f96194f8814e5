//! The survey on file trees made for it.

use std::sync::atomic::{AtomicU32, Ordering};

use super::*;

/// A file tree that goes away with it.
struct Tree(PathBuf);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("hvsock-survey-{}-{number}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

#[test]
fn where_nothing_can_be_read_everything_is_unknown() {
    let tree = Tree::new(&[("empty", "")]);
    let survey = Survey::from_root(&tree.0, None);
    assert_eq!(survey.release, None);
    assert!(survey.parts.iter().all(|p| p.presence.is_none() && p.loadable.is_none()));
    assert!(!survey.image_btf);
    assert_eq!((survey.perf_event_paranoid, survey.lockdown, survey.tracefs), (None, None, None));
    assert_eq!((survey.no_new_privs, survey.seccomp_filter), (None, None));
    assert_eq!(survey.initial_user_namespace, None);
}

#[test]
fn a_guest_with_modules_is_understood() {
    let tree = Tree::new(&[
        ("proc/sys/kernel/osrelease", "6.12.1\n"),
        ("proc/sys/kernel/perf_event_paranoid", "3\n"),
        ("proc/sys/kernel/kptr_restrict", "0\n"),
        ("proc/self/status", "Name:\tx\nNoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n"),
        ("proc/self/uid_map", "         0          0 4294967295\n"),
        ("proc/self/mounts", "proc /proc proc rw 0 0\nt /sys/kernel/tracing tracefs rw 0 0\n"),
        ("sys/kernel/tracing/events/enable", "0\n"),
        ("sys/kernel/security/lockdown", "none [integrity] confidentiality\n"),
        ("sys/module/vsock/initstate", "live\n"),
        ("sys/module/hv_vmbus/parameters/max_version", "0\n"),
        ("sys/kernel/btf/vmlinux", ""),
        ("sys/kernel/btf/vsock", ""),
        ("lib/modules/6.12.1/modules.builtin", "kernel/drivers/hv/hv_vmbus.ko\n"),
        (
            "lib/modules/6.12.1/modules.dep",
            "kernel/net/vmw_vsock/hv-sock.ko.xz: kernel/net/vmw_vsock/vsock.ko.xz\n",
        ),
    ]);
    let survey = Survey::from_root(&tree.0, Some(&Symbols::default()));
    let part = |name: &str| {
        let part = survey.part(name).unwrap();
        (part.presence, part.btf, part.loadable)
    };
    assert_eq!(part("vsock"), (Some(Presence::Module), BtfIn::Module, None));
    assert_eq!(part("hv_vmbus"), (Some(Presence::Builtin), BtfIn::Image, None));
    assert_eq!(part("hv_sock"), (Some(Presence::Absent), BtfIn::Nowhere, Some(true)));
    assert_eq!((survey.perf_event_paranoid, survey.kptr_restrict), (Some(3), Some(0)));
    assert_eq!(survey.unprivileged_bpf_disabled, None);
    assert_eq!(survey.lockdown.as_deref(), Some("integrity"));
    assert_eq!((survey.no_new_privs, survey.seccomp_filter), (Some(true), Some(true)));
    assert_eq!(survey.initial_user_namespace, Some(true));
    assert_eq!(survey.tracefs.as_deref(), Some(Path::new("/sys/kernel/tracing")));
    assert_eq!((survey.tracefs_readable, survey.bpffs), (Some(true), None));
}

#[test]
fn a_built_in_part_is_known_by_its_symbols() {
    let tree = Tree::new(&[("sys/kernel/btf/vmlinux", "")]);
    let symbols = Symbols::parse("0 t hvs_probe\n0 T vsock_insert_connected [vsock]\n", |_| true);
    let survey = Survey::from_root(&tree.0, Some(&symbols));
    assert_eq!(survey.part("hv_sock").unwrap().presence, Some(Presence::Builtin));
    assert_eq!(survey.part("hv_sock").unwrap().btf, BtfIn::Image);
    assert_eq!(survey.part("hv_vmbus").unwrap().presence, Some(Presence::Absent));
    assert_eq!(survey.part("hv_vmbus").unwrap().loadable, None, "no list says whether it could be loaded");
}

#[test]
fn a_tracefs_that_lets_nobody_in_is_not_readable() {
    let tree = Tree::new(&[("proc/self/mounts", "t /t tracefs rw 0 0\nb /sys/fs/bpf bpf rw 0 0\n")]);
    let survey = Survey::from_root(&tree.0, None);
    assert_eq!(survey.tracefs_readable, Some(false));
    assert_eq!(survey.bpffs.as_deref(), Some(Path::new("/sys/fs/bpf")));
}

#[test]
fn other_user_namespaces_are_told_from_the_first() {
    assert!(is_initial("0 0 4294967295"));
    assert!(!is_initial("0 100000 65536"));
    assert!(!is_initial("0 0 4294967295\n1 1 1"));
}

#[test]
fn file_capabilities_are_read_from_the_attribute() {
    // `setcap cap_bpf,cap_perfmon+ep`, as the kernel stores it.
    let value: Vec<u8> =
        [0x0200_0001u32, 0, 0, 1 << 7 | 1 << 6, 0].iter().flat_map(|w| w.to_le_bytes()).collect();
    assert_eq!(in_attribute(&value).unwrap(), [Capability::CAP_PERFMON, Capability::CAP_BPF]);
    assert_eq!(in_attribute(&value[..8]), None);
    assert_eq!(in_attribute(&[0; 20]), None);
}
