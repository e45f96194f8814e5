//! The live kernel as a Source.

use std::{collections::BTreeMap, mem, time::Instant};

use anyhow::{Result, anyhow};
use hvsock_common::{ConnRecord, Hook};

use super::{
    attached::{Attached, Before, Presence, Reading},
    clock::monotonic_ns,
    connections::{Sight, describe},
    counters::{self, Sums},
    events::SENDERS,
    listeners,
    lookup::{self, Lookups},
    older::{self, Older},
    pace::Pace,
    ports, slots, system,
    together::CLOSE,
    vmbus,
};
use crate::{
    kernel::{self, Blind, How, HvSock, Kept, LoadOptions, Loaded, NotLoaded},
    model::{
        Accounting, Backend, Closes, Family, Host, Lookup, Module, Opens, Probe, ProbeState, SCHEMA,
        Snapshot, Source, Totals,
    },
};

/// How to look at the live kernel.
pub type LiveOptions = LoadOptions;

/// The live kernel.
pub struct Live {
    options: LiveOptions,
    attached: Attached,
    before: Before,
    /// Attachments before this one.
    epoch: u32,
    /// Why the attachment is of no use any more, while hv_sock is unloaded.
    gone: Option<String>,
    began_ns: u64,
    last_ns: Option<u64>,
    torn: u64,
    inventory: Pace,
    lookups: Lookups,
}

impl Live {
    /// Attaches to the running kernel.
    pub fn attach(options: &LiveOptions) -> Result<Self, Blind> {
        Self::attach_or_explain(options).map_err(Blind::from)
    }

    /// The same; a failure says of every event what became of it.
    pub(super) fn attach_or_explain(options: &LiveOptions) -> Result<Self, NotLoaded> {
        Ok(Self {
            attached: Attached::new(options)?,
            options: options.clone(),
            before: Before::default(),
            epoch: 0,
            gone: None,
            began_ns: monotonic_ns(),
            last_ns: None,
            torn: 0,
            inventory: Pace::new(),
            lookups: Lookups::new(),
        })
    }

    /// Gives up, for good, every privilege of this thread that is not needed from now on, and says which remain. Those of `stays` remain at
    /// hand for [`kernel::with_permitted`]. Threads that exist already must have given up theirs.
    pub fn reduce_privileges(&mut self, stays: &[caps::Capability]) -> Result<Kept, String> {
        // hv_sock may be unloaded and loaded again, and has to be attached to then.
        let mut stays = stays.to_vec();
        if self.attached.loaded.can_go() {
            stays.extend(kernel::ATTACHING);
            // What was there before is looked for again then.
            stays.extend(self.attached.older.iter().flat_map(|_| kernel::LOOKING));
        }
        let told =
            |loaded: &Loaded| Hook::ALL.iter().map(|h| loaded.missed(*h).is_some()).collect::<Vec<_>>();
        let loaded = &mut self.attached.loaded;
        let before = told(loaded);
        kernel::reduce(&stays, || {
            // All that a Snapshot asks of the kernel: run a program, read tables, walk files, say what a probe has missed.
            loaded.refresh(|relid| relid == 0)?;
            ports::read(loaded).map_err(|e| format!("{e:#}"))?;
            listeners::read(loaded).map_err(|e| format!("{e:#}"))?;
            loaded.may_take_inventory().map_err(|e| format!("opening the iterator failed: {e}"))?;
            if told(loaded) == before {
                Ok(())
            } else {
                Err("the kernel no longer says what probes missed".into())
            }
        })
    }

    /// What became of each event.
    pub fn loaded(&self) -> &Loaded {
        &self.attached.loaded
    }

    /// The same, to be changed.
    pub fn loaded_mut(&mut self) -> &mut Loaded {
        &mut self.attached.loaded
    }

    /// How often hv_sock was loaded anew since the tool began; what was taken from [`Live::loaded`] is of no use after a change.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Notices that hv_sock was unloaded, and attaches again when it is back. Totals go on from where they were.
    pub fn follow(&mut self) -> Result<()> {
        match self.attached.presence() {
            Presence::Same => self.gone = None,
            Presence::Gone => self.gone = Some("hv_sock is not loaded any more".to_owned()),
            Presence::Another => match kernel::with_permitted(|| Attached::new(&self.options)) {
                Ok(attached) => {
                    mem::replace(&mut self.attached, attached).retire(&mut self.before)?;
                    self.epoch += 1;
                    self.gone = None;
                    self.inventory = Pace::new();
                    self.lookups = Lookups::new();
                }
                Err(failed) => self.gone = Some(format!("hv_sock was loaded anew, but {}", failed.blind)),
            },
        }
        Ok(())
    }

    /// Lifecycle events that found no room since the probes were attached.
    pub(super) fn events_lost(&self) -> u64 {
        let sums = counters::sum(&self.attached.cpus, &self.before.sums);
        SENDERS.iter().map(|hook| sums.accounting[*hook as usize].ring_full).sum()
    }

    /// Gives the record of an older connection the owner that was found at the start.
    pub(super) fn own(&self, record: &mut ConnRecord) {
        if let Some(older) = &self.attached.older {
            older.own(record);
        }
    }

    /// What the inventory could see, where it is not the kernel's own.
    pub(super) fn older(&self) -> Option<&older::Sight> {
        self.attached.older.as_ref().map(Older::sight)
    }

    fn host(&self) -> Host {
        let facts = &self.attached.loaded.facts;
        Host {
            kernel: facts.release.clone(),
            hostname: facts.hostname.clone(),
            hv_sock: match facts.hv_sock {
                _ if self.gone.is_some() => Module::Absent,
                HvSock::Module => Module::Module,
                HvSock::Builtin => Module::Builtin,
                HvSock::Absent => Module::Absent,
            },
            family: match facts.family {
                kernel::Family::Vsock => Family::Vsock,
                kernel::Family::AfHyperv => Family::AfHyperv,
            },
            vmbus_version: facts.vmbus_version.clone(),
        }
    }

    /// What the family does not have is unknown, not zero.
    fn opens(&self, sums: &Sums, sees: impl Fn(Hook) -> bool) -> Opens {
        let mut opens = sums.opens(sees);
        if self.attached.loaded.facts.family == kernel::Family::AfHyperv {
            // It serves every GUID, and has no transports.
            opens.from_host.not_vsock = None;
            opens.from_host.transport = None;
        }
        opens
    }

    fn lookup(&self, sums: &Sums, now_ns: u64) -> Lookup {
        let mut lookup = self.lookups.describe(now_ns, self.gone.as_deref());
        match lookup::searches(&self.attached) {
            Ok(searches) => lookup.searches = Some(searches),
            Err(why) => lookup.uncounted = Some(why),
        }
        lookup.bound_lookups = self.attached.loaded.sees(Hook::Lookup).then(|| lookup::lookups(sums));
        lookup
    }

    /// Reads now what sockets are looked up in.
    pub fn tables(&self) -> Result<kernel::Lengths, String> {
        lookup::read(&self.attached)
    }

    fn accounting(&self, sums: &Sums) -> Accounting {
        let mut reconciled = self.torn == 0;
        let mut hooks = BTreeMap::new();
        for verdict in self.attached.loaded.verdicts.iter().filter(|v| v.is_active()) {
            let row = sums.accounting[verdict.hook as usize];
            let missed = self.attached.loaded.missed(verdict.hook);
            reconciled &= counters::adds_up(&row) && row.unpaired == 0 && missed.unwrap_or(0) == 0;
            reconciled &= row.map_full == 0 && row.ring_full == 0 && row.faulted == 0;
            hooks.insert(
                verdict.hook.name().to_owned(),
                crate::model::Hook {
                    seen: row.seen,
                    recorded: row.recorded,
                    filtered: row.filtered,
                    ring_full: row.ring_full,
                    map_full: row.map_full,
                    faulted: row.faulted,
                    unpaired: row.unpaired,
                    in_flight: (row.entered > 0).then(|| row.entered.saturating_sub(row.seen)),
                    missed,
                },
            );
        }
        Accounting { hooks, reconciled }
    }
}

impl Source for Live {
    fn snapshot(&mut self) -> Result<Option<Snapshot>> {
        self.follow()?;
        if self.inventory.is_due() {
            let begin = Instant::now();
            self.attached.take_inventory();
            self.inventory.taken(begin.elapsed());
        }
        if self.gone.is_none() {
            self.lookups.look(&self.attached);
        }
        let live = |relid| slots::is_used(&self.attached.slots, relid);
        self.attached.loaded.refresh(live).map_err(|e| anyhow!("looking at the rings failed: {e}"))?;
        let listening = match &self.attached.older {
            Some(older) => older.listeners(),
            None => listeners::read(&mut self.attached.loaded)?,
        };
        let Reading { moment, ports, pass, sums } = self.attached.read(&self.before)?;
        self.torn += pass.torn;
        let loaded = &self.attached.loaded;
        // What cannot happen is not missed.
        let sees = |hook: Hook| loaded.sees(hook) || loaded.lacks(hook);
        let sight = Sight {
            hooks: Hook::ALL.iter().filter(|hook| sees(**hook)).fold(0, |bits, hook| bits | hook.bit()),
            ring_reserve: loaded.fields.layout.ring_reserve,
        };
        let connections: Vec<_> =
            pass.live.iter().map(|record| describe(record, &moment, sight, self.epoch)).collect();
        let interval_ns = self.last_ns.map(|last| moment.ns - last);
        let waiting = sees(Hook::Offer).then(|| vmbus::waiting(&self.attached.offered));
        let listeners = listeners::merge(&ports, &listening, sees);
        let snapshot = Snapshot {
            schema: SCHEMA,
            time: moment.wall(),
            interval_ns,
            uptime_ns: moment.ns,
            observed_ns: Some(moment.ns - self.began_ns),
            host: self.host(),
            memory: system::memory(),
            tool: system::tool(),
            opens: self.opens(&sums, sees),
            closes: Closes {
                graceful: CLOSE.iter().all(|h| sees(*h)).then_some(sums.closes.graceful),
                timed_out: loaded.sees(Hook::CloseTimeout).then_some(sums.closes.timed_out),
                by_host: (sees(Hook::Release) && sees(Hook::Rescind)).then_some(sums.closes.by_host),
                other: (sees(Hook::Rescind) && sees(Hook::CloseTimeout)).then_some(sums.closes.other),
            },
            totals: Totals {
                offers_waiting: waiting.as_ref().map(|w| w.count),
                oldest_offer_ns: waiting.and_then(|w| w.oldest_ns).map(|ns| moment.ns.saturating_sub(ns)),
                sockets_not_permitted: loaded.sees(Hook::Socket).then_some(sums.sockets_not_permitted),
                ..sums.totals(&pass, &connections, &sees)
            },
            ports: ports::describe(&ports, &pass.live, sees),
            connections,
            listeners,
            latency: sums.latency(sees),
            lookup: Some(self.lookup(&sums, moment.ns)),
            probes: loaded.verdicts.iter().map(|v| probe(v, self.gone.as_deref())).collect(),
            accounting: self.accounting(&sums),
            findings: None,
        };
        self.last_ns = Some(moment.ns);
        Ok(Some(snapshot))
    }
}

pub(super) fn probe(verdict: &kernel::Verdict, gone: Option<&str>) -> Probe {
    let (backend, state) = match verdict.how {
        _ if gone.is_some() => (Backend::None, ProbeState::Unavailable),
        How::Trampoline => (Backend::Fentry, ProbeState::Active),
        How::Kprobe => (Backend::Kprobe, ProbeState::Active),
        How::Tracepoint => (Backend::Tracepoint, ProbeState::Active),
        How::Iterator => (Backend::Iterator, ProbeState::Active),
        How::Unavailable => (Backend::None, ProbeState::Unavailable),
        How::Denied => (Backend::None, ProbeState::Denied),
        How::Failed => (Backend::None, ProbeState::Failed),
    };
    Probe {
        event: verdict.hook.name().to_owned(),
        symbol: verdict.symbol.map(str::to_owned),
        backend,
        state,
        required: verdict.required,
        reason: gone.map(str::to_owned).or_else(|| verdict.reason.clone()),
    }
}
