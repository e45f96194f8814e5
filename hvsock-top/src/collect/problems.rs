//! From what was found to what is wrong, and the command that puts it right.

use caps::Capability;
use hvsock_common::Hook;

use super::older::{NoSockets, Sight};
use crate::{
    kernel::{
        Attach, Blind, BtfIn, EVENTS, Event, Held, How, LOOKING, Necessity, Need, Presence, Survey, Verdict,
    },
    model::doctor::{Binary, Problem, Severity},
};

/// Events that nothing but a tracepoint sees.
fn by_tracepoint_only() -> impl Iterator<Item = Hook> {
    let only = |e: &&Event| e.candidates.iter().all(|c| matches!(c.attach, Attach::Tracepoint { .. }));
    EVENTS.iter().filter(only).map(|event| event.hook)
}

/// All that is known.
pub(super) struct Evidence<'a> {
    pub survey: &'a Survey,
    pub hypervisor: Option<&'a str>,
    pub held: Option<&'a Held>,
    pub needs: &'a [Need],
    pub binary: &'a Binary,
    pub uid: u32,
    pub blind: Option<&'a Blind>,
    /// Each event was tried by itself.
    pub tried: bool,
    pub verdicts: &'a [Verdict],
    pub kprobes_only: bool,
    /// What the inventory could see, where it is not the kernel's own.
    pub older: Option<&'a Sight>,
}

/// What Hyper-V calls itself.
const HYPERV: &str = "Microsoft Hv";

/// Where to put a copy that file capabilities work on.
const ELSEWHERE: &str = "/usr/local/bin/hvsock-top";

/// What is wrong, worst first. A blind tool has at least one problem that says why.
pub(super) fn find(evidence: &Evidence<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    evidence.kernel(&mut problems);
    evidence.privileges(&mut problems);
    evidence.tracefs(&mut problems);
    evidence.addresses(&mut problems);
    evidence.probes(&mut problems);
    evidence.inventory(&mut problems);
    if let Some(blind) = evidence.blind
        && !problems.iter().any(|p| p.severity == Severity::Blind)
    {
        problems.push(problem("blind", Severity::Blind, blind.to_string(), blind.remedy(), None));
    }
    problems.sort_by_key(|p| p.severity);
    problems
}

fn problem(
    code: &str,
    severity: Severity,
    what: impl Into<String>,
    fix: impl Into<String>,
    command: Option<String>,
) -> Problem {
    Problem { code: code.into(), severity, what: what.into(), fix: fix.into(), command }
}

impl Evidence<'_> {
    /// A command as this user has to give it.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "a problem has a command or none; callers put this where either goes"
    )]
    fn command(&self, text: &str) -> Option<String> {
        Some(if self.uid == 0 { text.to_owned() } else { format!("sudo {text}") })
    }

    fn lacks(&self, need: &Need) -> bool {
        need.necessity != Necessity::None && !self.held.is_some_and(|h| h.has(need.capability))
    }

    /// Needs not met, of one degree.
    fn missing(&self, necessity: Necessity) -> Vec<&Need> {
        self.needs.iter().filter(|n| n.necessity == necessity && self.lacks(n)).collect()
    }

    /// The setcap command that gives the binary what it must have, what it has already, and `more`. setcap replaces what a file had, and
    /// a file with capabilities gets no ambient ones: a command that forgot some would break what works.
    fn setcap(&self, more: &[Capability]) -> Option<String> {
        let path = self.binary.path.as_deref()?;
        let path = if self.binary.nosuid == Some(true) { ELSEWHERE } else { path };
        let mut names = vec!["CAP_BPF".to_owned(), "CAP_PERFMON".to_owned()];
        // Root has all of them without the file's help.
        let held = self.held.filter(|_| self.uid != 0);
        let held =
            self.needs.iter().map(|n| n.capability).filter(|c| held.is_some_and(|h| h.effective.contains(c)));
        let read = (self.survey.tracefs_readable == Some(false)).then_some(Capability::CAP_DAC_READ_SEARCH);
        let wanted = held.chain(read).chain(more.iter().copied()).map(|c| c.to_string());
        for name in self.binary.file_capabilities.iter().flatten().cloned().chain(wanted) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        self.command(&format!("setcap {}+ep {}", names.join(",").to_lowercase(), quoted(path)))
    }

    fn kernel(&self, problems: &mut Vec<Problem>) {
        if let Some(part) = self.survey.part("hv_sock")
            && part.presence == Some(Presence::Absent)
            // AF_HYPERV may be there in its place.
            && self.blind.is_some()
        {
            let elsewhere = match self.hypervisor {
                Some(HYPERV) => String::new(),
                Some(other) => format!(" (the hypervisor is \"{other}\", not Hyper-V)"),
                None => " (no hypervisor shows itself)".into(),
            };
            let (fix, command) = match part.loadable {
                Some(true) => ("load it", self.command("modprobe hv_sock")),
                Some(false) => (
                    "boot a kernel with CONFIG_HYPERV_VSOCKETS on a guest of Hyper-V; this one has no such module",
                    None,
                ),
                None => ("load it if this kernel has it", self.command("modprobe hv_sock")),
            };
            let what = format!("hv_sock is not loaded, so there are no Hyper-V sockets to watch{elsewhere}");
            problems.push(problem("hv_sock_absent", Severity::Blind, what, fix, command));
        }
        if !self.survey.image_btf {
            problems.push(problem(
                "no_btf",
                Severity::Blind,
                "the kernel does not describe its types: /sys/kernel/btf/vmlinux is not there",
                "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y, as distributions' have been since 2020, and mount sysfs",
                None,
            ));
        }
        for part in &self.survey.parts {
            if self.survey.image_btf && part.presence == Some(Presence::Module) && part.btf == BtfIn::Nowhere
            {
                let severity = if self.blind.is_some() { Severity::Blind } else { Severity::Degraded };
                problems.push(problem(
                    "no_module_btf",
                    severity,
                    format!("the module {} does not describe its types: /sys/kernel/btf/{0} is not there", part.name),
                    "use a kernel built with CONFIG_DEBUG_INFO_BTF_MODULES=y whose modules are of the same build as its image",
                    None,
                ));
            }
        }
        if self.survey.lockdown.as_deref() == Some("confidentiality") {
            problems.push(problem(
                "lockdown",
                if self.blind.is_some() { Severity::Blind } else { Severity::Note },
                "kernel lockdown is at `confidentiality`, where nobody may read kernel memory or set kprobes",
                "boot with lockdown=integrity on the kernel's command line; a running kernel cannot go back",
                None,
            ));
        }
    }

    fn privileges(&self, problems: &mut Vec<Problem>) {
        // What works is permitted.
        if self.blind.is_none() {
            return;
        }
        let mut lacking = self.missing(Necessity::Required);
        let paranoid = lacking.iter().any(|n| n.capability == Capability::CAP_SYS_ADMIN);
        lacking.retain(|n| n.capability != Capability::CAP_SYS_ADMIN);
        if !lacking.is_empty() {
            self.capabilities_missing(&lacking, problems);
        }
        if paranoid {
            let level = self.survey.perf_event_paranoid.unwrap_or_default();
            problems.push(problem(
                "perf_event_paranoid",
                Severity::Blind,
                format!("kernel.perf_event_paranoid is {level}: Debian's and Ubuntu's kernels then refuse kprobes to all without CAP_SYS_ADMIN"),
                "set it to 2, or give CAP_SYS_ADMIN as well",
                self.command("sysctl kernel.perf_event_paranoid=2"),
            ));
        }
        if self.survey.initial_user_namespace == Some(false) {
            problems.push(problem(
                "user_namespace",
                Severity::Blind,
                "this is not the first user namespace: its capabilities do not count for BPF",
                "run it outside of the rootless container or of unshare --user",
                None,
            ));
        }
        if self.survey.seccomp_filter == Some(true) && matches!(self.blind, Some(Blind::NotPermitted { .. }))
        {
            problems.push(problem(
                "seccomp",
                Severity::Blind,
                "a seccomp filter is in force, which may forbid bpf(2) and perf_event_open(2)",
                "run it outside of the container, or give the container --security-opt seccomp=unconfined",
                None,
            ));
        }
    }

    fn capabilities_missing(&self, lacking: &[&Need], problems: &mut Vec<Problem>) {
        if let (Some(true), Some(path)) = (self.binary.nosuid, &self.binary.path) {
            problems.push(problem(
                "nosuid",
                Severity::Blind,
                format!("{path} is on a file system mounted nosuid, where setcap has no effect"),
                "put a copy elsewhere, and give it the capabilities",
                self.command(&format!("install -m 755 {} {ELSEWHERE}", quoted(path))),
            ));
        }
        let names: Vec<_> = lacking.iter().map(|n| n.capability.to_string()).collect();
        let purposes: Vec<_> = lacking.iter().map(|n| n.why).collect();
        let obtainable = self.held.is_none_or(|h| lacking.iter().all(|n| h.bounding.contains(&n.capability)));
        let (fix, command) = if obtainable {
            let fix = if self.uid == 0 {
                "start it from a shell that has them, or give them to the program"
            } else {
                "run it as root, or give them to the program"
            };
            (fix.to_owned(), self.setcap(&[]))
        } else {
            let add: Vec<_> =
                names.iter().map(|n| format!("--cap-add={}", n.trim_start_matches("CAP_"))).collect();
            (format!("they cannot be had here at all; give the container {}", add.join(" ")), None)
        };
        problems.push(problem(
            "capability_missing",
            Severity::Blind,
            format!("not held: {}, needed to {}", names.join(" and "), purposes.join("; to ")),
            fix,
            command,
        ));
        if self.survey.no_new_privs == Some(true) {
            problems.push(problem(
                "no_new_privs",
                Severity::Blind,
                "this process may not gain privileges (no_new_privs), so that setcap and sudo have no effect",
                "start it from elsewhere, without NoNewPrivileges= or --security-opt no-new-privileges",
                None,
            ));
        }
    }

    fn tracefs(&self, problems: &mut Vec<Problem>) {
        let events: Vec<_> = by_tracepoint_only().map(|hook| format!("`{}`", hook.name())).collect();
        let costs = format!("without it nobody sees {}", events.join(" and "));
        match (&self.survey.tracefs, self.survey.tracefs_readable) {
            (None, _) => problems.push(problem(
                "tracefs_not_mounted",
                Severity::Degraded,
                format!("tracefs is not mounted; {costs}"),
                "mount it",
                self.command("mount -t tracefs tracefs /sys/kernel/tracing"),
            )),
            (Some(at), Some(false)) => problems.push(problem(
                "tracefs_not_readable",
                Severity::Degraded,
                format!("tracefs at {} cannot be read; {costs}", at.display()),
                "give CAP_DAC_READ_SEARCH to the program",
                self.setcap(&[]),
            )),
            _ => {}
        }
    }

    fn addresses(&self, problems: &mut Vec<Problem>) {
        let need = self.needs.iter().find(|n| n.capability == Capability::CAP_SYSLOG);
        // Where the tool is blind, nobody has asked for the version.
        let Some(need) = need.filter(|n| n.necessity != Necessity::None && self.blind.is_none()) else {
            return;
        };
        let what = "the VMBus protocol version is unknown: the kernel does not show where it keeps it";
        let (fix, command) = if self.survey.kptr_restrict.is_some_and(|level| level >= 2) {
            ("show kernel addresses to those with CAP_SYSLOG", self.command("sysctl kernel.kptr_restrict=1"))
        } else if self.lacks(need) {
            ("leave it so, or give CAP_SYSLOG to the program", self.setcap(&[Capability::CAP_SYSLOG]))
        } else {
            ("nothing is to be done: this kernel does not have it, or has not agreed on one", None)
        };
        problems.push(problem("vmbus_version_unknown", Severity::Note, what, fix, command));
    }

    /// Where the kernel has no inventory of its own: what the other one lacks.
    fn inventory(&self, problems: &mut Vec<Problem>) {
        let Some(sight) = self.older else { return };
        match &sight.no_sockets {
            Some(NoSockets::Absent) => problems.push(problem(
                "vsock_diag_absent",
                Severity::Degraded,
                "the kernel does not list vsock sockets (vsock_diag is not loaded): of connections older than \
                 hvsock-top nobody knows who has them and in what state they are, nor who listened before",
                "load it, and start hvsock-top again",
                self.command("modprobe vsock_diag"),
            )),
            Some(NoSockets::Failed(why)) => problems.push(problem(
                "sock_diag_failed",
                Severity::Degraded,
                format!("the kernel does not list vsock sockets: {why}"),
                "nothing but a kernel with CONFIG_VSOCKETS_DIAG helps; what needs it is null",
                None,
            )),
            None => {}
        }
        if let Some(why) = &sight.no_channels {
            problems.push(problem(
                "vmbus_sysfs_unreadable",
                Severity::Degraded,
                format!("connections older than hvsock-top are not found: {why}"),
                "run it where all of /sys can be read",
                None,
            ));
        }
        if sight.unseen > 0 {
            problems.push(problem(
                "owners_unseen",
                Severity::Degraded,
                format!(
                    "who has some of the older connections is unknown: the open files of {} processes may not \
                     be looked at",
                    sight.unseen
                ),
                "give CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH to the program",
                self.setcap(LOOKING),
            ));
        }
    }

    fn probes(&self, problems: &mut Vec<Problem>) {
        let admin = self.held.is_some_and(|h| h.has(Capability::CAP_SYS_ADMIN));
        let slow = self.verdicts.iter().filter(|v| v.how == How::Kprobe).count();
        if slow > 0 && !admin && !self.kprobes_only {
            problems.push(problem(
                "kprobes_only",
                Severity::Note,
                format!("{slow} probes are kprobes, which cost more per event than trampolines: only CAP_SYS_ADMIN may open the BTF of modules"),
                "leave it so, or give CAP_SYS_ADMIN, which allows much else",
                self.setcap(&[Capability::CAP_SYS_ADMIN]),
            ));
        }
        if !self.tried {
            // One reason holds for all, and has been told.
            return;
        }
        let unreadable = self.survey.tracefs_readable != Some(true);
        let has = |code: &str| problems.iter().any(|p| p.code == code);
        // What a problem told above explains is not told again for every probe; the list of probes has it.
        let explained = problems.iter().any(|p| p.severity == Severity::Blind);
        let types = has("no_module_btf");
        let mut more = Vec::new();
        for verdict in self.verdicts.iter().filter(|v| !v.is_active()) {
            let told = match verdict.how {
                How::Denied => false,
                _ if unreadable && by_tracepoint_only().any(|hook| hook == verdict.hook) => true,
                How::Unavailable => types,
                _ => explained,
            };
            if told {
                continue;
            }
            let name = verdict.hook.name();
            let (code, fix) = match verdict.how {
                How::Denied => ("probe_denied", format!("leave out --deny-probe {name}")),
                How::Unavailable => {
                    ("probe_unavailable", "nothing but another kernel helps; what needs it is null".into())
                }
                _ => ("probe_failed", "please report it with the kernel version".into()),
            };
            let fix = match (verdict.hook, self.older, verdict.how) {
                (Hook::Inventory, Some(_), How::Unavailable | How::Failed) => {
                    "nothing but another kernel helps; `inventory` says what is not known meanwhile"
                        .to_owned()
                }
                _ => fix,
            };
            let severity = if verdict.required { Severity::Blind } else { Severity::Degraded };
            let reason = verdict.reason.as_deref().unwrap_or("no reason is known");
            let what = format!("the event `{name}` cannot be seen: {reason}");
            more.push(problem(code, severity, what, fix, None));
        }
        problems.extend(more);
    }
}

/// A path as the shell wants it.
fn quoted(path: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@%,:=".contains(c);
    if path.chars().all(plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', "'\\''")) }
}

#[cfg(test)]
#[path = "problems_tests.rs"]
mod tests;
