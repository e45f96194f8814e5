//! What is said to be wrong, from evidence made for it.

use std::{collections::HashSet, path::PathBuf};

use hvsock_common::Hook;

use super::*;
use crate::kernel::{Circumstances, EVENTS, Part};

/// Everything in order, as root on a guest with modules.
struct Case {
    survey: Survey,
    held: Held,
    binary: Binary,
    uid: u32,
    blind: Option<Blind>,
    tried: bool,
    verdicts: Vec<Verdict>,
    kprobes_only: bool,
    addresses: bool,
    older: Option<Sight>,
}

const ALL: [Capability; 4] = [
    Capability::CAP_BPF,
    Capability::CAP_PERFMON,
    Capability::CAP_SYS_ADMIN,
    Capability::CAP_DAC_READ_SEARCH,
];

fn case() -> Case {
    let part = |name| Part { name, presence: Some(Presence::Module), btf: BtfIn::Module, loadable: None };
    let verdict = |event: &Event| Verdict {
        hook: event.hook,
        symbol: Some(event.candidates[0].symbol),
        how: How::Trampoline,
        reason: None,
        refused: false,
        required: event.required,
    };
    Case {
        survey: Survey {
            release: Some("6.12".into()),
            parts: vec![part("hv_vmbus"), part("vsock"), part("hv_sock")],
            image_btf: true,
            perf_event_paranoid: Some(2),
            unprivileged_bpf_disabled: Some(2),
            kptr_restrict: Some(0),
            lockdown: Some("none".into()),
            initial_user_namespace: Some(true),
            no_new_privs: Some(false),
            seccomp_filter: Some(false),
            tracefs: Some(PathBuf::from("/sys/kernel/tracing")),
            tracefs_readable: Some(true),
            bpffs: None,
        },
        held: Held { effective: HashSet::from(ALL), bounding: HashSet::from(ALL) },
        binary: Binary {
            path: Some("/bin/hvsock-top".into()),
            nosuid: Some(false),
            file_capabilities: Some(Vec::new()),
        },
        uid: 0,
        blind: None,
        tried: true,
        verdicts: EVENTS.iter().map(verdict).collect(),
        kprobes_only: false,
        addresses: true,
        older: None,
    }
}

/// The same as somebody who may do nothing.
fn nobody() -> Case {
    let mut case = case();
    case.uid = 1000;
    case.held.effective.clear();
    case.survey.tracefs_readable = Some(false);
    case.blind = Some(Blind::NotPermitted { action: "create BPF maps", reason: "EPERM".into() });
    case.tried = false;
    for verdict in &mut case.verdicts {
        verdict.how = How::Failed;
        verdict.refused = true;
    }
    case
}

impl Case {
    fn find(&self) -> Vec<Problem> {
        let needs = Circumstances {
            modules: true,
            perf_event_paranoid: self.survey.perf_event_paranoid,
            tracefs_readable: self.survey.tracefs_readable == Some(true),
            addresses: self.addresses,
            owners_in_proc: self.older.is_some(),
            works: self.blind.is_none(),
        }
        .needs();
        find(&Evidence {
            survey: &self.survey,
            hypervisor: Some("KVMKVMKVM"),
            held: Some(&self.held),
            needs: &needs,
            binary: &self.binary,
            uid: self.uid,
            blind: self.blind.as_ref(),
            tried: self.tried,
            verdicts: &self.verdicts,
            kprobes_only: self.kprobes_only,
            older: self.older.as_ref(),
        })
    }

    fn verdict(&mut self, hook: Hook) -> &mut Verdict {
        self.verdicts.iter_mut().find(|v| v.hook == hook).unwrap()
    }
}

/// Codes and commands.
fn told(problems: &[Problem]) -> Vec<(&str, Severity, Option<&str>)> {
    problems.iter().map(|p| (p.code.as_str(), p.severity, p.command.as_deref())).collect()
}

#[test]
fn where_nothing_is_wrong_nothing_is_said() {
    assert_eq!(case().find(), []);
}

#[test]
fn a_blind_tool_always_says_why_and_what_to_do() {
    let text = String::new;
    let all = [
        Blind::NoHvSock,
        Blind::NoBtf { path: text() },
        Blind::BadBtf { path: text(), reason: text() },
        Blind::NotPermitted { action: "", reason: text() },
        Blind::AbiMismatch { found: 1, wanted: 2 },
        Blind::Required { event: "open", reason: text() },
        Blind::Load { reason: text() },
        Blind::Read { path: text(), reason: text() },
    ];
    for blind in all {
        let problems = Case { blind: Some(blind), ..case() }.find();
        assert_eq!(problems.first().map(|p| p.severity), Some(Severity::Blind), "{problems:?}");
        assert!(problems.iter().all(|p| !p.what.is_empty() && !p.fix.is_empty()), "{problems:?}");
    }
}

#[test]
fn a_user_is_told_which_capabilities_to_give_to_the_program() {
    let give = "sudo setcap cap_bpf,cap_perfmon,cap_dac_read_search+ep /bin/hvsock-top";
    let expected = [
        ("capability_missing", Severity::Blind, Some(give)),
        ("tracefs_not_readable", Severity::Degraded, Some(give)),
    ];
    assert_eq!(told(&nobody().find()), expected);
}

#[test]
fn capabilities_that_the_program_has_already_stay_in_the_command() {
    let mut case = nobody();
    case.held.effective.insert(Capability::CAP_BPF);
    case.binary.file_capabilities = Some(vec!["CAP_BPF".into(), "CAP_SYS_ADMIN".into()]);
    case.survey.tracefs_readable = Some(true);
    let problems = case.find();
    let give = "sudo setcap cap_bpf,cap_perfmon,cap_sys_admin+ep /bin/hvsock-top";
    assert_eq!(told(&problems), [("capability_missing", Severity::Blind, Some(give))]);
    assert!(problems[0].what.starts_with("not held: CAP_PERFMON, needed to load"), "{}", problems[0].what);
}

#[test]
fn a_paranoid_kernel_is_named_only_where_it_is_in_the_way() {
    let mut case = nobody();
    case.survey.perf_event_paranoid = Some(3);
    case.held.effective =
        HashSet::from([Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_DAC_READ_SEARCH]);
    case.survey.tracefs_readable = Some(true);
    let expected =
        [("perf_event_paranoid", Severity::Blind, Some("sudo sysctl kernel.perf_event_paranoid=2"))];
    assert_eq!(told(&case.find()), expected);
    case.blind = None;
    assert_eq!(case.find(), [], "it works, so the kernel knows no such level");
}

#[test]
fn a_program_where_setcap_has_no_effect_is_to_be_copied_first() {
    let mut case = nobody();
    case.survey.tracefs_readable = Some(true);
    case.binary.nosuid = Some(true);
    case.binary.path = Some("/mnt/my usb/hvsock-top".into());
    let expected = [
        (
            "nosuid",
            Severity::Blind,
            Some("sudo install -m 755 '/mnt/my usb/hvsock-top' /usr/local/bin/hvsock-top"),
        ),
        (
            "capability_missing",
            Severity::Blind,
            Some("sudo setcap cap_bpf,cap_perfmon+ep /usr/local/bin/hvsock-top"),
        ),
    ];
    assert_eq!(told(&case.find()), expected);
}

#[test]
fn a_container_is_told_what_to_ask_for() {
    let mut case = nobody();
    case.uid = 0;
    case.held.bounding.clear();
    case.survey.tracefs_readable = Some(true);
    case.survey.seccomp_filter = Some(true);
    case.survey.initial_user_namespace = Some(false);
    let problems = case.find();
    let expected = [
        ("capability_missing", Severity::Blind, None),
        ("user_namespace", Severity::Blind, None),
        ("seccomp", Severity::Blind, None),
    ];
    assert_eq!(told(&problems), expected);
    assert!(problems[0].fix.ends_with("--cap-add=BPF --cap-add=PERFMON"), "{}", problems[0].fix);
}

#[test]
fn an_absent_hv_sock_is_loaded_only_where_it_can_be() {
    let mut case = case();
    case.blind = Some(Blind::NoHvSock);
    case.tried = false;
    for verdict in &mut case.verdicts {
        verdict.how = How::Unavailable;
    }
    case.survey.parts[2].presence = Some(Presence::Absent);
    for (loadable, command) in
        [(Some(true), Some("modprobe hv_sock")), (None, Some("modprobe hv_sock")), (Some(false), None)]
    {
        case.survey.parts[2].loadable = loadable;
        let problems = case.find();
        assert_eq!(told(&problems), [("hv_sock_absent", Severity::Blind, command)]);
        assert!(problems[0].what.contains("KVMKVMKVM"), "{}", problems[0].what);
    }
}

#[test]
fn tracefs_costs_one_metric_and_is_told_once() {
    let mut case = case();
    case.survey.tracefs = None;
    case.survey.tracefs_readable = None;
    case.verdict(Hook::Teardown).how = How::Unavailable;
    case.verdict(Hook::HostMessage).how = How::Unavailable;
    let mount = "mount -t tracefs tracefs /sys/kernel/tracing";
    assert_eq!(told(&case.find()), [("tracefs_not_mounted", Severity::Degraded, Some(mount))]);
}

#[test]
fn every_other_probe_that_is_not_there_is_told_with_its_reason() {
    let mut case = case();
    let lookup = case.verdict(Hook::Lookup);
    lookup.how = How::Unavailable;
    lookup.reason = Some("inlined".into());
    case.verdict(Hook::Open).how = How::Denied;
    case.verdict(Hook::Accept).how = How::Failed;
    let problems = case.find();
    let expected = [
        ("probe_denied", Severity::Blind, None),
        ("probe_failed", Severity::Degraded, None),
        ("probe_unavailable", Severity::Degraded, None),
    ];
    assert_eq!(told(&problems), expected);
    assert_eq!(problems[2].what, "the event `lookup` cannot be seen: inlined");
}

#[test]
fn kprobes_for_want_of_privilege_are_noted_but_not_those_asked_for() {
    let mut case = case();
    case.uid = 1000;
    case.held.effective.remove(&Capability::CAP_SYS_ADMIN);
    case.verdict(Hook::Open).how = How::Kprobe;
    let give = "sudo setcap cap_bpf,cap_perfmon,cap_dac_read_search,cap_sys_admin+ep /bin/hvsock-top";
    assert_eq!(told(&case.find()), [("kprobes_only", Severity::Note, Some(give))]);
    case.kprobes_only = true;
    assert_eq!(case.find(), []);
}

#[test]
fn lockdown_blinds_at_its_highest_level_only() {
    let mut case = case();
    case.blind = Some(Blind::Required { event: "open", reason: "refused".into() });
    case.survey.lockdown = Some("integrity".into());
    assert_eq!(case.find()[0].code, "blind");
    case.survey.lockdown = Some("confidentiality".into());
    assert_eq!(told(&case.find()), [("lockdown", Severity::Blind, None)]);
}

#[test]
fn an_unknown_version_is_noted_with_what_hides_it() {
    let mut case = case();
    case.addresses = false;
    let code = "vmbus_version_unknown";
    assert_eq!(
        told(&case.find()),
        [(code, Severity::Note, Some("setcap cap_bpf,cap_perfmon,cap_syslog+ep /bin/hvsock-top"))]
    );
    case.held.effective.insert(Capability::CAP_SYSLOG);
    assert_eq!(told(&case.find()), [(code, Severity::Note, None)]);
    case.survey.kptr_restrict = Some(2);
    assert_eq!(told(&case.find()), [(code, Severity::Note, Some("sysctl kernel.kptr_restrict=1"))]);
}

#[test]
fn paths_are_quoted_where_the_shell_needs_it() {
    assert_eq!(quoted("/usr/bin/hvsock-top"), "/usr/bin/hvsock-top");
    assert_eq!(quoted("/a b/it's"), r"'/a b/it'\''s'");
}

#[test]
fn without_an_iterator_it_is_said_what_serves_and_what_that_lacks() {
    let mut case = case();
    case.verdict(Hook::Inventory).how = How::Unavailable;
    case.older = Some(Sight::default());
    let problems = case.find();
    let [one] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((one.code.as_str(), one.severity), ("probe_unavailable", Severity::Degraded));
    assert!(one.fix.contains("not known meanwhile"), "{one:?}");
    case.verdict(Hook::Inventory).how = How::Denied;
    assert_eq!(case.find()[0].fix, "leave out --deny-probe inventory");

    case.older = Some(Sight { no_sockets: Some(NoSockets::Absent), ..Sight::default() });
    let problems = case.find();
    let absent = problems.iter().find(|p| p.code == "vsock_diag_absent").unwrap();
    assert_eq!(absent.command.as_deref(), Some("modprobe vsock_diag"));

    case.uid = 1000;
    case.older = Some(Sight { unseen: 3, ..Sight::default() });
    let problems = case.find();
    let unseen = problems.iter().find(|p| p.code == "owners_unseen").unwrap();
    assert!(unseen.what.contains("3 processes"), "{unseen:?}");
    let command = unseen.command.as_deref().unwrap();
    assert!(command.contains("cap_sys_ptrace") && command.contains("cap_dac_read_search"), "{command}");
}
