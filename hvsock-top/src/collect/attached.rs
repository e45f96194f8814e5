//! One attachment to hv_sock: the loaded programs and their maps, mapped.

use std::{os::linux::fs::MetadataExt as _, time::Instant};

use aya::maps::Map;
use hvsock_common::{ConnRecord, CpuCounters, Hook, MAX_RELIDS, PortKey, PortRecord};

use super::{
    clock::Moment,
    counters::{self, Sums},
    older::Older,
    ports,
    slots::{self, Pass},
};
use crate::kernel::{self, Blind, HvSock, LoadOptions, Loaded, Mapped, NotLoaded};
use crate::model::doctor::InventorySource;

/// How often the slots and the sums are read again when connections ended in between.
const TRIES: usize = 32;

/// Where the kernel shows that hv_sock is loaded, or AF_HYPERV in its place.
const MODULES: [&str; 2] = ["/sys/module/hv_sock", "/sys/module/af_hyperv"];

/// One attachment. The module's functions, and with them the probes, go when it is unloaded; the maps and what they say stay.
pub(super) struct Attached {
    pub loaded: Loaded,
    pub slots: Mapped<ConnRecord>,
    pub cpus: Mapped<CpuCounters>,
    pub offered: Mapped<u64>,
    /// What was there before, where the kernel has no inventory of its own.
    pub older: Option<Older>,
    module: Option<u64>,
}

/// What earlier attachments counted, so that the tool's totals never go back.
#[derive(Default)]
pub(super) struct Before {
    pub sums: Sums,
    pub ports: Vec<(PortKey, PortRecord)>,
}

/// What the kernel's tables say, at one moment.
pub(super) struct Reading {
    /// Taken just before all the rest: what had happened by then is in it.
    pub moment: Moment,
    pub ports: Vec<(PortKey, PortRecord)>,
    pub pass: Pass,
    pub sums: Sums,
}

impl Attached {
    /// Attaches to hv_sock as it is now.
    pub(super) fn new(options: &LoadOptions) -> Result<Self, NotLoaded> {
        let module = loaded_module();
        let loaded = kernel::load(options)?;
        let verdicts = loaded.verdicts.clone();
        Self::map(loaded, module).map_err(|blind| NotLoaded { blind, verdicts, each: true })
    }

    fn map(loaded: Loaded, module: Option<u64>) -> Result<Self, Blind> {
        let map = |name: &str| match loaded.ebpf.map(name) {
            Some(Map::Array(map)) => Ok(map),
            _ => Err(Blind::Load { reason: format!("the object has no array {name}") }),
        };
        let failed = |e: std::io::Error| Blind::Load { reason: format!("mapping an array failed: {e}") };
        let slots = Mapped::new(map("SLOTS")?, MAX_RELIDS).map_err(failed)?;
        let cpus = Mapped::new(map("CPUS")?, loaded.facts.possible_cpus as usize).map_err(failed)?;
        let offered = Mapped::new(map("OFFERED")?, MAX_RELIDS).map_err(failed)?;
        let mut attached = Self { loaded, slots, cpus, offered, older: None, module };
        attached.look_around();
        Ok(attached)
    }

    /// Looks again for what no hook sees.
    pub(super) fn take_inventory(&mut self) {
        self.loaded.take_inventory();
        match &mut self.older {
            Some(older) => older.look_again(&self.slots),
            None => self.look_around(),
        }
    }

    /// Where the kernel has no inventory of its own, takes the other one; only once.
    fn look_around(&mut self) {
        if !self.loaded.has_inventory() && self.older.is_none() {
            let begin = Instant::now();
            self.older = Some(Older::take(&self.slots));
            self.loaded.timing.add("inventory", begin.elapsed());
            let source = match self.older.as_ref().map(|older| older.sight().describe().source) {
                Some(InventorySource::SockDiag) => "sock_diag, /proc and sysfs serve instead",
                Some(InventorySource::Sysfs) => "sysfs serves instead",
                Some(InventorySource::TaskFile | InventorySource::None) | None => "nothing serves instead",
            };
            if let Some(verdict) = self.loaded.verdicts.iter_mut().find(|v| v.hook == Hook::Inventory) {
                let why = verdict.reason.get_or_insert_default();
                why.push_str(if why.is_empty() { "" } else { "; " });
                why.push_str(source);
            }
        }
    }

    /// Whether hv_sock is still the one we attached to.
    pub(super) fn presence(&self) -> Presence {
        if self.loaded.facts.hv_sock == HvSock::Builtin {
            return Presence::Same;
        }
        match loaded_module() {
            None => Presence::Gone,
            now if now == self.module => Presence::Same,
            Some(_) => Presence::Another,
        }
    }

    /// Reads ports, slots and sums so that each connection is either live or in the sums, its port's and all. A connection that ends
    /// moves from its slot to its port's sums and then to all; if none did between two readings of the latter, what was read in between
    /// fits them. The ports come first: a slot that is on its way is waited for, and then counts as gone.
    pub(super) fn read(&self, before: &Before) -> anyhow::Result<Reading> {
        let mut first = counters::sum(&self.cpus, &before.sums);
        for attempt in 1.. {
            let moment = Moment::now();
            let ports = ports::read(&self.loaded)?;
            let idle = self.older.as_ref().map(|older| older.idle(&self.slots));
            let mut pass = slots::read(&self.slots);
            if let (Some(older), Some(idle)) = (&self.older, idle) {
                older.complete(&mut pass.live, idle);
            }
            let second = counters::sum(&self.cpus, &before.sums);
            let whole = second.accounting.iter().all(counters::adds_up);
            if (first.closed.connections == second.closed.connections && whole) || attempt == TRIES {
                return Ok(Reading { moment, ports: ports::add(ports, &before.ports), pass, sums: second });
            }
            first = second;
        }
        unreachable!("the loop ends by returning")
    }

    /// Detaches, and adds what was counted to `before`. Connections cannot outlive the module, so all are in the sums by now.
    pub(super) fn retire(self, before: &mut Before) -> anyhow::Result<()> {
        before.ports = ports::add(ports::read(&self.loaded)?, &before.ports);
        // Nothing may be counted after the sums were read.
        drop(self.loaded);
        before.sums = counters::sum(&self.cpus, &before.sums);
        Ok(())
    }
}

/// Whether hv_sock is the one that an attachment was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is.
    Same,
    /// It is not loaded.
    Gone,
    /// It was loaded anew.
    Another,
}

/// Tells one loading of the module from the next. `None`: not loaded, or not ready yet.
fn loaded_module() -> Option<u64> {
    MODULES.into_iter().find_map(|module| {
        let state = std::fs::read_to_string(format!("{module}/initstate")).ok()?;
        if state.trim() != "live" {
            return None;
        }
        std::fs::metadata(module).ok().map(|metadata| metadata.st_ino())
    })
}
