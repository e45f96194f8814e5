//! What `hvsock-top doctor` finds: what can be observed on this machine, what not, why, and what to do about it.
//!
//! Every name is stable. What could not be found out is `None` (JSON `null`), which is never the same as "no" or zero.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Module, Probe};

/// Version of the report's layout: raised when a name goes away or changes its meaning, not when one is added.
pub const DOCTOR_SCHEMA: u32 = 1;

/// The whole report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Doctor {
    /// [`DOCTOR_SCHEMA`].
    pub schema: u32,
    /// The answer.
    pub verdict: Verdict,
    /// Whether all probes were really loaded and attached, one Snapshot taken and everything detached again. Where `false`, nothing
    /// could be tried, and every entry of `probes` says why.
    pub proven: bool,
    /// Kernel release (`uname -r`).
    pub kernel: Option<String>,
    /// What the processor says it runs under, such as `Microsoft Hv`; `None`: it does not say, or there is no hypervisor.
    pub hypervisor: Option<String>,
    /// VMBus protocol version as `major.minor`.
    pub vmbus_version: Option<String>,
    /// Whether the kernel image describes its types (BTF). Nothing works without.
    pub kernel_btf: bool,
    /// hv_vmbus, vsock and hv_sock.
    pub modules: Vec<ModuleReport>,
    /// Every logical event and what serves it.
    pub probes: Vec<Probe>,
    /// The capabilities that matter.
    pub capabilities: Vec<Capability>,
    /// What else decides on what is allowed.
    pub security: Security,
    /// The file systems that matter.
    pub mounts: Mounts,
    /// The program itself.
    pub binary: Binary,
    /// How what was there before hvsock-top is found; `None`: nothing could be tried.
    pub inventory: Option<Inventory>,
    /// What is wrong, worst first.
    pub problems: Vec<Problem>,
}

/// How what was there before hvsock-top is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inventory {
    /// Where from.
    pub source: InventorySource,
    /// Processes whose open files may not be looked at, as far as owners are missing for it; `None` where that does not matter.
    pub processes_not_seen: Option<u64>,
    /// What of it cannot be known, for people.
    pub unknown: Vec<String>,
}

/// Where the inventory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InventorySource {
    /// A BPF iterator over all open files, again and again.
    TaskFile,
    /// sock_diag, `/proc` and VMBus sysfs, once.
    SockDiag,
    /// VMBus sysfs alone, once: the kernel does not list vsock sockets.
    Sysfs,
    /// Nowhere.
    None,
}

/// The answer in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// An essential event cannot be seen: what hvsock-top does not show may well exist. Exit code 1.
    Blind,
    /// Connections are seen; some metrics are not.
    Degraded,
    /// Everything is seen.
    Fine,
}

/// A kernel part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleReport {
    /// Its name.
    pub name: String,
    /// Whether it is there, and how.
    pub presence: Option<Module>,
    /// Where its types are described.
    pub btf: BtfSource,
    /// Whether an absent module lies ready to be loaded under `/lib/modules`; `None` for one that is there already.
    pub loadable: Option<bool>,
}

/// Where types are described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BtfSource {
    /// In BTF of the module's own.
    Module,
    /// In the kernel image's.
    Image,
    /// Nowhere.
    None,
}

/// A capability.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Capability {
    /// Its name, such as `CAP_BPF`.
    pub name: String,
    /// Whether it is in the effective set.
    pub held: bool,
    /// Whether it can be had at all: it is in the bounding set.
    pub obtainable: bool,
    /// Whether it is needed on this machine as it is set up now.
    pub need: Need,
    /// Whether the need is met: it is held, or CAP_SYS_ADMIN is, which includes it.
    pub met: bool,
    /// What it is for.
    pub why: String,
}

/// How much a capability is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// Nothing works without.
    Required,
    /// Something works better, or only, with it.
    Optional,
    /// Here and now everything works without.
    None,
}

/// Settings that decide on what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Security {
    /// The effective user.
    pub uid: u32,
    /// Whether the process is in the first user namespace. In any other, capabilities do not count for BPF.
    pub initial_user_namespace: Option<bool>,
    /// Whether exec may not add privileges: file capabilities have no effect then.
    pub no_new_privs: Option<bool>,
    /// Whether a seccomp filter is in force.
    pub seccomp_filter: Option<bool>,
    /// `kernel.perf_event_paranoid`. Debian's and Ubuntu's kernels know 3 and more: kprobes then need CAP_SYS_ADMIN.
    pub perf_event_paranoid: Option<i64>,
    /// `kernel.unprivileged_bpf_disabled`.
    pub unprivileged_bpf_disabled: Option<i64>,
    /// `kernel.kptr_restrict`.
    pub kptr_restrict: Option<i64>,
    /// Kernel lockdown: `none`, `integrity` or `confidentiality`.
    pub lockdown: Option<String>,
}

/// File systems that matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Mounts {
    /// Where tracefs is mounted.
    pub tracefs: Option<String>,
    /// Whether its events can be read.
    pub tracefs_readable: Option<bool>,
    /// Where the BPF file system is mounted. hvsock-top pins nothing and does not need it.
    pub bpffs: Option<String>,
}

/// The program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Binary {
    /// Its file.
    pub path: Option<String>,
    /// Whether its file system is mounted `nosuid`: file capabilities have no effect then.
    pub nosuid: Option<bool>,
    /// Capabilities that the file gives (`setcap`); empty: none.
    pub file_capabilities: Option<Vec<String>>,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// A stable name of the kind of problem.
    pub code: String,
    /// How bad.
    pub severity: Severity,
    /// What is wrong, in one line.
    pub what: String,
    /// What to do about it, in one line.
    pub fix: String,
    /// The exact command that does it; `None` where no single command can.
    pub command: Option<String>,
}

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It blinds the tool.
    Blind,
    /// It costs some metrics.
    Degraded,
    /// It costs nothing that is shown, but something else.
    Note,
}
