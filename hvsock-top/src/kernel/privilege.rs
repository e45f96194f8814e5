//! Privileges: which capabilities are held, which are needed and what for, and giving up all that are not needed any more.
//!
//! The needs were found by experiment, by taking capabilities away one at a time; docs/privileges.md has the table. Capabilities belong
//! to threads, not to processes.

use std::{collections::HashSet, fs};

use caps::{CapSet, Capability, CapsHashSet, errors::CapsError};

/// How much a capability is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Necessity {
    /// Nothing works without.
    Required,
    /// Something works better, or only, with it.
    Optional,
    /// Here and now everything works without.
    None,
}

/// A capability, and what it is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Need {
    /// Which.
    pub capability: Capability,
    /// How much.
    pub necessity: Necessity,
    /// What for.
    pub why: &'static str,
}

/// What decides on how much a capability is needed.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each named where it is set")]
pub struct Circumstances {
    /// Functions to be watched are in modules.
    pub modules: bool,
    /// `kernel.perf_event_paranoid`.
    pub perf_event_paranoid: Option<i64>,
    /// tracefs can be read.
    pub tracefs_readable: bool,
    /// The kernel shows its addresses, or whatever needs them is known already.
    pub addresses: bool,
    /// The kernel has no iterator over open files, so that owners are looked for in `/proc`.
    pub owners_in_proc: bool,
    /// It has been seen to work with what is held.
    pub works: bool,
}

impl Circumstances {
    /// From this level on, Debian's and Ubuntu's kernels refuse perf_event_open(2) to holders of CAP_PERFMON too. Other kernels know no
    /// such level, and nothing but trying tells the two apart.
    pub const PARANOID: i64 = 3;

    /// Whether the level alone may refuse kprobes to those without CAP_SYS_ADMIN.
    pub fn is_paranoid(&self) -> bool {
        self.perf_event_paranoid.is_some_and(|level| level >= Self::PARANOID)
    }

    /// The capabilities that matter here.
    pub fn needs(&self) -> Vec<Need> {
        let admin = match (self.modules, self.is_paranoid()) {
            // Trampolines into the kernel image need no more than CAP_BPF and CAP_PERFMON.
            (false, _) => Necessity::None,
            // The kernel may be one that knows no such level; then it works without.
            (true, true) if !self.works => Necessity::Required,
            (true, _) => Necessity::Optional,
        };
        let tracefs = if self.tracefs_readable { Necessity::None } else { Necessity::Optional };
        let owners = if self.owners_in_proc { Necessity::Optional } else { Necessity::None };
        let need = |capability, necessity, why| Need { capability, necessity, why };
        vec![
            need(Capability::CAP_BPF, Necessity::Required, "create BPF maps and load BPF programs"),
            need(
                Capability::CAP_PERFMON,
                Necessity::Required,
                "load programs that read kernel memory, and attach them",
            ),
            need(
                Capability::CAP_SYS_ADMIN,
                admin,
                "open the BTF of modules, for trampolines into them instead of the slower kprobes; where \
                 kernel.perf_event_paranoid is 3 or more (Debian, Ubuntu), for kprobes too",
            ),
            need(
                Capability::CAP_DAC_READ_SEARCH,
                if self.owners_in_proc { owners } else { tracefs },
                if self.owners_in_proc {
                    "read tracefs, without which nothing is known that only tracepoints see; enter other \
                     users' /proc/PID/fd, without which nobody knows who has an older connection"
                } else {
                    "read tracefs, which by default only root may enter; without it nothing is known that only \
                     tracepoints see"
                },
            ),
            need(
                Capability::CAP_SYS_PTRACE,
                owners,
                "see which sockets other users' processes have open, where the kernel has no iterator over \
                 open files; without it nobody knows who has an older connection",
            ),
            need(
                Capability::CAP_SYSLOG,
                if self.addresses { Necessity::None } else { Necessity::Optional },
                "be shown kernel addresses; without it the VMBus protocol version is unknown, and how full the tables \
                 are in which sockets are looked up",
            ),
        ]
    }
}

/// What this thread may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// In force now.
    pub effective: CapsHashSet,
    /// Could be had after an exec.
    pub bounding: CapsHashSet,
}

impl Held {
    /// Asks the kernel.
    pub fn now() -> Result<Self, CapsError> {
        let bounding = caps::read(None, CapSet::Bounding)?;
        Ok(Self { effective: caps::read(None, CapSet::Effective)?, bounding })
    }

    /// Whether the kernel will find `capability`. CAP_SYS_ADMIN includes those that were split from it.
    pub fn has(&self, capability: Capability) -> bool {
        let split = matches!(capability, Capability::CAP_BPF | Capability::CAP_PERFMON);
        self.effective.contains(&capability) || split && self.effective.contains(&Capability::CAP_SYS_ADMIN)
    }
}

/// Gives up all capabilities of this thread, for good.
pub fn renounce() -> Result<(), CapsError> {
    keep(&HashSet::new(), &HashSet::new())
}

fn keep(effective: &CapsHashSet, permitted: &CapsHashSet) -> Result<(), CapsError> {
    // Outermost last: none of the others may exceed the permitted set. Ambient capabilities go with it.
    caps::set(None, CapSet::Inheritable, &HashSet::new())?;
    caps::set(None, CapSet::Effective, effective)?;
    caps::set(None, CapSet::Permitted, permitted)
}

/// All that attaching can make use of.
pub const ATTACHING: &[Capability] = &[
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_DAC_READ_SEARCH,
    Capability::CAP_SYSLOG,
];

/// What looking for owners in `/proc` can make use of.
pub const LOOKING: &[Capability] = &[Capability::CAP_DAC_READ_SEARCH, Capability::CAP_SYS_PTRACE];

/// What was not given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// In force at all times.
    pub effective: Vec<Capability>,
    /// At hand for [`with_permitted`] only.
    pub permitted: Vec<Capability>,
}

/// Gives up, for good, every capability of this thread without which `works` still works, and says which remain. Those of `stays` that
/// are held are not given up, but are out of force until [`with_permitted`]. Threads that exist already must have given up theirs: if one
/// has not, that is an error.
///
/// Kernels since 5.19 let whoever has a map or a program use it, so that none stays in force. Older ones ask for CAP_BPF (before 5.8:
/// CAP_SYS_ADMIN) at every call when `kernel.unprivileged_bpf_disabled` is set. So it is tried, not assumed.
pub fn reduce(stays: &[Capability], works: impl FnMut() -> Result<(), String>) -> Result<Kept, String> {
    let kept = reduce_thread(stays, works)?;
    check_threads(&kept.permitted)?;
    Ok(kept)
}

fn reduce_thread(
    stays: &[Capability],
    mut works: impl FnMut() -> Result<(), String>,
) -> Result<Kept, String> {
    let held = caps::read(None, CapSet::Permitted).map_err(|e| e.to_string())?;
    let mut why = String::new();
    for wanted in [&[][..], &[Capability::CAP_BPF], &[Capability::CAP_SYS_ADMIN]] {
        let effective: CapsHashSet = wanted.iter().copied().filter(|c| held.contains(c)).collect();
        if effective.len() < wanted.len() {
            continue;
        }
        caps::set(None, CapSet::Effective, &effective).map_err(|e| e.to_string())?;
        match works() {
            Ok(()) => {
                let stays = stays.iter().filter(|c| held.contains(c));
                let permitted: CapsHashSet = effective.iter().chain(stays).copied().collect();
                keep(&effective, &permitted).map_err(|e| e.to_string())?;
                return Ok(Kept { effective: listed(effective), permitted: listed(permitted) });
            }
            Err(reason) => why = reason,
        }
    }
    caps::set(None, CapSet::Effective, &held).map_err(|e| e.to_string())?;
    Err(format!("reading needs all of them: {why}"))
}

fn listed(set: CapsHashSet) -> Vec<Capability> {
    let mut list: Vec<_> = set.into_iter().collect();
    list.sort_by_key(Capability::index);
    list
}

/// Does something with all capabilities that are permitted in force, and puts them out of force again.
pub fn with_permitted<T>(work: impl FnOnce() -> T) -> T {
    let before = caps::read(None, CapSet::Effective);
    // Where these fail, the work is refused by the kernel and says so.
    if let Ok(permitted) = caps::read(None, CapSet::Permitted) {
        let _ = caps::set(None, CapSet::Effective, &permitted);
    }
    let result = work();
    if let Ok(before) = before {
        let _ = caps::set(None, CapSet::Effective, &before);
    }
    result
}

/// Does something with no capability in force, and puts those that were in force back.
pub fn without_capabilities<T>(work: impl FnOnce() -> T) -> T {
    let before = caps::read(None, CapSet::Effective);
    // Where there are none, there is nothing to put out of force.
    let _ = caps::set(None, CapSet::Effective, &HashSet::new());
    let result = work();
    if let Ok(before) = before {
        let _ = caps::set(None, CapSet::Effective, &before);
    }
    result
}

/// Does something on behalf of whoever runs the program: capabilities that the program's file has (`setcap`) are for watching the kernel,
/// and must not open files that the user could not. Root keeps his.
pub fn on_behalf_of_user<T>(work: impl FnOnce() -> T) -> T {
    if rustix::process::getuid().is_root() { work() } else { without_capabilities(work) }
}

/// No thread of this process may hold more than `set`.
fn check_threads(set: &[Capability]) -> Result<(), String> {
    let allowed = set.iter().fold(0, |bits, c| bits | c.bitmask());
    let tasks = fs::read_dir("/proc/self/task").map_err(|e| format!("/proc/self/task: {e}"))?;
    for task in tasks {
        let path = task.map_err(|e| e.to_string())?.path().join("status");
        // A thread that has just ended holds nothing.
        let Ok(status) = fs::read_to_string(&path) else { continue };
        let held = permitted_in(&status).ok_or_else(|| format!("{} does not say", path.display()))?;
        if held & !allowed != 0 {
            return Err(format!("the thread of {} still holds {held:#x}", path.display()));
        }
    }
    Ok(())
}

fn permitted_in(status: &str) -> Option<u64> {
    let text = status.lines().find_map(|line| line.strip_prefix("CapPrm:"))?;
    u64::from_str_radix(text.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_depend_on_the_circumstances() {
        let of = |capability, modules, level, tracefs_readable, works| {
            let perf_event_paranoid = level;
            let addresses = true;
            let here = Circumstances {
                modules,
                perf_event_paranoid,
                tracefs_readable,
                addresses,
                owners_in_proc: false,
                works,
            };
            here.needs().iter().find(|n| n.capability == capability).unwrap().necessity
        };
        let admin = |modules, level, works| of(Capability::CAP_SYS_ADMIN, modules, level, true, works);
        assert_eq!(admin(true, Some(3), false), Necessity::Required);
        assert_eq!(admin(true, Some(3), true), Necessity::Optional, "seen to work without");
        assert_eq!(admin(true, Some(2), false), Necessity::Optional);
        assert_eq!(admin(true, None, false), Necessity::Optional);
        assert_eq!(admin(false, Some(4), false), Necessity::None);
        let read = |readable| of(Capability::CAP_DAC_READ_SEARCH, true, Some(2), readable, true);
        assert_eq!((read(false), read(true)), (Necessity::Optional, Necessity::None));
        assert_eq!(of(Capability::CAP_SYS_PTRACE, true, Some(2), true, true), Necessity::None);
        assert_eq!(of(Capability::CAP_BPF, false, None, true, true), Necessity::Required);
    }

    #[test]
    fn sys_admin_stands_in_for_what_was_split_from_it_only() {
        let held = |c| Held { effective: HashSet::from([c]), bounding: HashSet::from([c]) };
        let admin = held(Capability::CAP_SYS_ADMIN);
        assert!(admin.has(Capability::CAP_BPF) && admin.has(Capability::CAP_PERFMON));
        assert!(!admin.has(Capability::CAP_DAC_READ_SEARCH));
        assert!(!held(Capability::CAP_BPF).has(Capability::CAP_PERFMON));
    }

    /// In a thread, as capabilities belong to threads.
    fn in_a_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        std::thread::spawn(work).join().unwrap()
    }

    fn held(set: CapSet) -> CapsHashSet {
        caps::read(None, set).unwrap()
    }

    /// Works when this capability is in force.
    fn needing(need: Option<Capability>) -> impl FnMut() -> Result<(), String> + Send {
        move || match need {
            Some(c) if !held(CapSet::Effective).contains(&c) => Err("refused".to_owned()),
            _ => Ok(()),
        }
    }

    #[test]
    fn what_is_still_needed_stays_and_nothing_else() {
        let bpf = Capability::CAP_BPF;
        in_a_thread(move || {
            let none = Kept { effective: Vec::new(), permitted: Vec::new() };
            assert_eq!(reduce_thread(&[], needing(None)), Ok(none));
            assert!(held(CapSet::Permitted).is_empty());
        });
        let permitted = held(CapSet::Permitted);
        if permitted.contains(&bpf) {
            in_a_thread(move || {
                let one = Kept { effective: vec![bpf], permitted: vec![bpf] };
                assert_eq!(reduce_thread(&[], needing(Some(bpf))), Ok(one));
                assert_eq!(held(CapSet::Permitted), HashSet::from([bpf]));
            });
        }
        // Of a need that it does not know it gives up nothing.
        in_a_thread(move || {
            assert!(reduce_thread(&[], needing(Some(Capability::CAP_SYS_BOOT))).is_err());
            assert_eq!(held(CapSet::Permitted), permitted);
        });
    }

    #[test]
    fn what_stays_is_in_force_only_while_it_is_wanted() {
        let bpf = Capability::CAP_BPF;
        let stays = held(CapSet::Permitted).contains(&bpf).then_some(bpf);
        in_a_thread(move || {
            let kept = reduce_thread(&[bpf], needing(None)).unwrap();
            assert_eq!((kept.effective, kept.permitted), (Vec::new(), Vec::from_iter(stays)));
            assert!(held(CapSet::Effective).is_empty());
            assert_eq!(with_permitted(|| held(CapSet::Effective)), HashSet::from_iter(stays));
            assert!(held(CapSet::Effective).is_empty());
        });
    }

    #[test]
    fn a_thread_that_holds_more_is_found() {
        let permitted = caps::read(None, CapSet::Permitted).unwrap();
        let all: Vec<_> = caps::all().into_iter().collect();
        assert_eq!(check_threads(&all), Ok(()));
        assert_eq!(check_threads(&[]).is_err(), !permitted.is_empty());
    }

    #[test]
    fn the_permitted_set_is_read_from_the_status() {
        assert_eq!(permitted_in("Name:\tx\nCapInh:\t0\nCapPrm:\t000001ffffffffff\n"), Some(0x1ff_ffff_ffff));
        assert_eq!(permitted_in("CapInh:\t0\n"), None);
    }

    #[test]
    fn a_thread_that_gives_up_everything_has_nothing_left_and_cannot_get_it_back() {
        std::thread::spawn(|| {
            renounce().unwrap();
            let held = Held::now().unwrap();
            assert!(held.effective.is_empty());
            assert!(caps::read(None, CapSet::Permitted).unwrap().is_empty());
            let all = HashSet::from([Capability::CAP_CHOWN]);
            assert!(caps::set(None, CapSet::Permitted, &all).is_err());
        })
        .join()
        .unwrap();
    }
}
