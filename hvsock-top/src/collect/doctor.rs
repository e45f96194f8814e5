//! Examining this machine: what can be observed, what not, and why. Everything is tried for real and then detached.

use std::path::Path;

use super::{
    Live, LiveOptions, live, older,
    problems::{self, Evidence},
};
use crate::{
    kernel::{self, Blind, BtfIn, Circumstances, Held, Necessity, Presence, Survey},
    model::{
        Module, Source as _,
        doctor::{
            Binary, BtfSource, Capability, DOCTOR_SCHEMA, Doctor, ModuleReport, Mounts, Need, Security,
            Verdict,
        },
    },
};

/// Examines the running kernel. Where hv_sock is absent nothing is attached.
pub fn examine(options: &LiveOptions) -> Doctor {
    let survey = kernel::survey();
    let hypervisor = kernel::hypervisor();
    let tried = attempt(options);
    let held = Held::now().ok();
    let circumstances = Circumstances {
        modules: survey.parts.iter().any(|p| p.presence != Some(Presence::Builtin)),
        perf_event_paranoid: survey.perf_event_paranoid,
        tracefs_readable: survey.tracefs_readable == Some(true),
        addresses: tried.vmbus_version.is_some(),
        owners_in_proc: tried.older.is_some(),
        works: tried.blind.is_none(),
    };
    let needs = circumstances.needs();
    let binary = Binary::look(std::env::current_exe().ok().as_deref());
    let evidence = Evidence {
        survey: &survey,
        hypervisor: hypervisor.as_deref(),
        held: held.as_ref(),
        needs: &needs,
        binary: &binary,
        // SAFETY: takes no arguments and cannot fail.
        uid: unsafe { libc::geteuid() },
        blind: tried.blind.as_ref(),
        tried: tried.each,
        verdicts: &tried.verdicts,
        kprobes_only: options.kprobes_only,
        older: tried.older.as_ref(),
    };
    let essential = tried.verdicts.iter().all(|v| v.is_active() || !v.required);
    let whole = tried.verdicts.iter().all(kernel::Verdict::is_active);
    Doctor {
        schema: DOCTOR_SCHEMA,
        verdict: match (tried.blind.is_none() && essential, whole) {
            (false, _) => Verdict::Blind,
            (true, false) => Verdict::Degraded,
            (true, true) => Verdict::Fine,
        },
        proven: tried.proven,
        hypervisor: hypervisor.clone(),
        vmbus_version: tried.vmbus_version,
        kernel_btf: survey.image_btf,
        modules: survey.parts.iter().map(module).collect(),
        probes: tried.verdicts.iter().map(|verdict| live::probe(verdict, None)).collect(),
        capabilities: needs.iter().map(|need| capability(need, held.as_ref())).collect(),
        security: security(&survey, evidence.uid),
        mounts: mounts(&survey),
        inventory: tried.blind.is_none().then(|| match &tried.older {
            Some(sight) => sight.describe(),
            None => older::of_the_iterator(),
        }),
        problems: problems::find(&evidence),
        kernel: survey.release,
        binary,
    }
}

/// What came of trying.
struct Tried {
    verdicts: Vec<kernel::Verdict>,
    blind: Option<Blind>,
    /// Each event was tried by itself.
    each: bool,
    proven: bool,
    vmbus_version: Option<String>,
    /// What the inventory could see, where it is not the kernel's own.
    older: Option<older::Sight>,
}

/// Attaches everything, takes one Snapshot and detaches everything.
fn attempt(options: &LiveOptions) -> Tried {
    let mut live = match Live::attach_or_explain(options) {
        Ok(live) => live,
        Err(failed) => {
            return Tried {
                each: failed.each,
                verdicts: failed.verdicts,
                blind: Some(failed.blind),
                proven: false,
                vmbus_version: None,
                older: None,
            };
        }
    };
    let blind = live.snapshot().err().map(|error| Blind::Load { reason: format!("{error:#}") });
    Tried {
        verdicts: live.loaded().verdicts.clone(),
        proven: blind.is_none(),
        blind,
        each: true,
        vmbus_version: live.loaded().facts.vmbus_version.clone(),
        older: live.older().cloned(),
    }
}

fn module(part: &kernel::Part) -> ModuleReport {
    ModuleReport {
        name: part.name.to_owned(),
        presence: part.presence.map(|presence| match presence {
            Presence::Module => Module::Module,
            Presence::Builtin => Module::Builtin,
            Presence::Absent => Module::Absent,
        }),
        btf: match part.btf {
            BtfIn::Module => BtfSource::Module,
            BtfIn::Image => BtfSource::Image,
            BtfIn::Nowhere => BtfSource::None,
        },
        loadable: part.loadable,
    }
}

fn capability(need: &kernel::Need, held: Option<&Held>) -> Capability {
    Capability {
        name: need.capability.to_string(),
        held: held.is_some_and(|h| h.effective.contains(&need.capability)),
        obtainable: held.is_some_and(|h| h.bounding.contains(&need.capability)),
        need: match need.necessity {
            Necessity::Required => Need::Required,
            Necessity::Optional => Need::Optional,
            Necessity::None => Need::None,
        },
        met: need.necessity == Necessity::None || held.is_some_and(|h| h.has(need.capability)),
        why: need.why.to_owned(),
    }
}

fn security(survey: &Survey, uid: u32) -> Security {
    Security {
        uid,
        initial_user_namespace: survey.initial_user_namespace,
        no_new_privs: survey.no_new_privs,
        seccomp_filter: survey.seccomp_filter,
        perf_event_paranoid: survey.perf_event_paranoid,
        unprivileged_bpf_disabled: survey.unprivileged_bpf_disabled,
        kptr_restrict: survey.kptr_restrict,
        lockdown: survey.lockdown.clone(),
    }
}

fn mounts(survey: &Survey) -> Mounts {
    let text = |path: &Option<std::path::PathBuf>| path.as_deref().map(|p| p.display().to_string());
    Mounts {
        tracefs: text(&survey.tracefs),
        tracefs_readable: survey.tracefs_readable,
        bpffs: text(&survey.bpffs),
    }
}

impl Binary {
    fn look(file: Option<&Path>) -> Self {
        Self {
            nosuid: file.and_then(kernel::is_nosuid),
            file_capabilities: file
                .and_then(kernel::file_capabilities)
                .map(|found| found.iter().map(ToString::to_string).collect()),
            path: file.map(|p| p.display().to_string()),
        }
    }
}
