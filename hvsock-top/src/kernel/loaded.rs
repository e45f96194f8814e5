//! What is attached: what it has been asked for, what became of each event, and what can be done with it.

use std::{collections::BTreeMap, os::fd::AsFd};

use aya::{
    Ebpf,
    programs::{Program, ProgramError, RawTracePoint, RawTracePointRunOptions, TestRun as _},
};
use hvsock_common::{Hook, MAX_RELIDS, REFRESH_CHUNK};

use super::{
    Facts, Fields, How, HvSock, Verdict,
    iterator::Iterator,
    kprobe, plan,
    searches::Searches,
    tables::{Tables, Unread},
    timing::Timing,
    trampoline::{self, Trampoline},
    verdict::words,
};

/// What the caller wants.
#[derive(Clone, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "switches that have nothing to do with one another")]
pub struct LoadOptions {
    /// Events that must not be attached.
    pub deny: Vec<String>,
    /// The programs' own log lines are wanted.
    pub verbose: bool,
    /// No trampolines, kprobes only.
    pub kprobes_only: bool,
    /// Lifecycle events are wanted.
    pub events: bool,
    /// Attach programs that do nothing, to the same places in the same ways: for measuring what being called costs.
    pub empty: bool,
    /// The nodes that AF_HYPERV's lookups go past are counted.
    pub count_nodes: bool,
    /// The tables in which sockets are looked up will not be read: what reads them takes the verifier longer than any other program.
    pub without_tables: bool,
}

/// Everything attached. Dropping it detaches everything.
pub struct Loaded {
    /// The object's maps, and what aya has attached.
    pub ebpf: Ebpf,
    /// The trampolines.
    pub(super) trampolines: BTreeMap<Hook, Vec<Trampoline>>,
    /// The kprobes, where the kernel says what they miss.
    pub(super) kprobes: BTreeMap<Hook, Vec<kprobe::Attached>>,
    /// The inventory.
    pub(super) iterator: Option<Iterator>,
    /// Of every event.
    pub verdicts: Vec<Verdict>,
    /// What kernel this is.
    pub facts: Facts,
    /// Where its fields are.
    pub fields: Fields,
    /// Whether the kernel counts it when it does not run a tracepoint's or kprobe's program because another program is running on that CPU.
    pub(super) counts_skipped: bool,
    /// The tables in which sockets are looked up, or why they cannot be read.
    pub tables: Result<Tables, Unread>,
    /// The counting of nodes, or why there is none.
    pub searches: Result<Searches, String>,
    /// How long the start took.
    pub timing: Timing,
}

impl Loaded {
    pub(super) fn program<'a, T>(&'a mut self, name: &str) -> Result<&'a mut T, String>
    where
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        self.ebpf
            .program_mut(name)
            .ok_or_else(|| format!("the object has no program {name}"))?
            .try_into()
            .map_err(|e: ProgramError| words(&e))
    }

    /// Looks at every live ring now. `live` says of each relid whether its slot is in use; runs of slots with none are passed over.
    pub fn refresh(&self, live: impl Fn(usize) -> bool) -> Result<(), String> {
        for first in (0..MAX_RELIDS).step_by(REFRESH_CHUNK as usize) {
            if !(first..first + REFRESH_CHUNK as usize).any(&live) {
                continue;
            }
            self.run("refresh_rings", first as u64)?;
        }
        Ok(())
    }

    /// Looks at a listener that the inventory has found.
    pub fn refresh_listener(&self, sk: u64) -> Result<(), String> {
        self.run("refresh_listener", sk).map(drop)
    }

    /// Runs one of the programs that are never attached.
    pub(super) fn run(&self, name: &str, arg: u64) -> Result<u32, String> {
        let program: &RawTracePoint = self
            .ebpf
            .program(name)
            .ok_or_else(|| format!("the object has no program {name}"))?
            .try_into()
            .map_err(|e: ProgramError| words(&e))?;
        let mut options = RawTracePointRunOptions::new();
        options.args[0] = arg;
        program.test_run(options).map(|result| result.return_value).map_err(|e| words(&e))
    }

    /// Whether hv_sock can be unloaded while this is attached, and may then have to be attached to again: a trampoline in a module holds
    /// it, a kprobe does not.
    pub fn can_go(&self) -> bool {
        let holds = |v: &Verdict| {
            let own = |symbol: &str| symbol.starts_with("hvs_") || symbol.starts_with("hvsock_");
            v.how == How::Trampoline && v.symbol.is_some_and(own)
        };
        self.facts.hv_sock == HvSock::Module && !self.verdicts.iter().any(holds)
    }

    /// Whether the event is seen.
    pub fn sees(&self, hook: Hook) -> bool {
        self.verdicts.iter().any(|v| v.hook == hook && v.is_active())
    }

    /// Whether the family has nothing of the kind, so that nothing of it can be missed.
    pub fn lacks(&self, hook: Hook) -> bool {
        !plan::events_of(self.facts.family).any(|event| event.hook == hook)
    }

    /// How often the kernel did not run this event's programs: because one was already running on that CPU; of kprobes also because another
    /// kprobe was being handled there, or too many threads were inside of the function. `None`: it does not say, as of tracepoints
    /// that are not raw and of kprobes before 6.7.
    pub fn missed(&self, hook: Hook) -> Option<u64> {
        let of = |program: &Program| trampoline::recursion_misses(program.fd().ok()?.as_fd());
        match self.verdicts.iter().find(|v| v.hook == hook)?.how {
            // Where the kernel can miss one of these it counts it.
            How::Tracepoint if let Some(raw) = self.ebpf.program(&format!("rt_{}", hook.name())) => of(raw),
            How::Kprobe | How::Tracepoint if !self.counts_skipped => None,
            How::Kprobe => {
                let missed = |probe: &kprobe::Attached| {
                    Some(of(self.ebpf.program(&probe.program)?)? + probe.missed()?)
                };
                self.kprobes.get(&hook)?.iter().map(missed).sum()
            }
            How::Tracepoint => of(self.ebpf.program(&format!("tp_{}", hook.name()))?),
            _ => {
                let links = self.trampolines.get(&hook).into_iter().flatten();
                links.map(|link| trampoline::recursion_misses(link.program())).sum()
            }
        }
    }
}
