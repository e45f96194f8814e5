//! What serves each logical event, and whether anything was missed.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a probe is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// A BPF trampoline at entry and/or return.
    Fentry,
    /// A kprobe and/or kretprobe.
    Kprobe,
    /// A tracepoint.
    Tracepoint,
    /// An iterator, which the tool runs now and then.
    Iterator,
    /// Nothing.
    None,
}

/// Whether a probe works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProbeState {
    /// Attached.
    Active,
    /// Not possible on this kernel.
    Unavailable,
    /// Switched off by the user.
    Denied,
    /// It should have worked.
    Failed,
}

/// A logical event and what serves it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Probe {
    /// The logical event.
    pub event: String,
    /// The kernel function or tracepoint.
    pub symbol: Option<String>,
    /// How.
    pub backend: Backend,
    /// Whether it works.
    pub state: ProbeState,
    /// Whether the tool is blind without it.
    pub required: bool,
    /// Why it does not work, or why a better backend was passed over.
    pub reason: Option<String>,
}

/// What became of the events of one hook: `seen` is the sum of the next five.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hook {
    /// Events the hook decided on.
    pub seen: u64,
    /// In the records.
    pub recorded: u64,
    /// Not hv_sock's, or not to be counted.
    pub filtered: u64,
    /// In the records, but the lifecycle event was lost.
    pub ring_full: u64,
    /// No room in a map.
    pub map_full: u64,
    /// Kernel memory could not be read, or could not be true.
    pub faulted: u64,
    /// Returns without their entry.
    pub unpaired: u64,
    /// Calls that were entered and have not returned: calls that block (accept, send, receive) and, with kprobes, those whose return the kernel
    /// missed for want of instances. `None`: the event has no two ends, or a trampoline at the return alone serves it.
    pub in_flight: Option<u64>,
    /// Events the kernel did not deliver to the programs; `None`: this kernel does not say.
    pub missed: Option<u64>,
}

/// Whether anything was missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Accounting {
    /// By logical event.
    #[serde(flatten)]
    pub hooks: BTreeMap<String, Hook>,
    /// Every sum adds up and nothing is known to have been missed.
    pub reconciled: bool,
}
