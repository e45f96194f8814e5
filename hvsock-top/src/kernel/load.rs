//! Carrying out the plan: load the object, attach what this kernel allows, and say of every event what became of it.

use std::{collections::BTreeMap, os::fd::AsFd, time::Instant};

use aya::{
    Ebpf, EbpfLoader, GlobalData,
    maps::{Array, MapData},
    programs::{KProbe, Program, ProgramError, TracePoint},
};
use hvsock_common::{ABI, Config, Hook, Layout, MAX_RELIDS, REFRESH_CHUNK};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::{
    Attach, Blind, EVENTS, Event, Facts, Fields, How, HvSock, NotLoaded, Symbols, TypeInfo, Verdict, facts,
    fields::resolve,
    iterator::Iterator,
    plan::{self, VMBUS_VERSION},
    symbols::Reading,
    timing::Timing,
    tracepoints,
    trampoline::{Trampoline, Trampolines},
    verdict::{Why, words},
};

/// The programs, built by `cargo xtask build-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/hvsock.bpf.o");

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
}

/// Everything attached. Dropping it detaches everything.
pub struct Loaded {
    /// The object's maps, and the kprobes.
    pub ebpf: Ebpf,
    /// The trampolines.
    trampolines: BTreeMap<Hook, Vec<Trampoline>>,
    /// The inventory.
    pub(super) iterator: Option<Iterator>,
    /// Of every event.
    pub verdicts: Vec<Verdict>,
    /// What kernel this is.
    pub facts: Facts,
    /// Where its fields are.
    pub fields: Fields,
    /// How long the start took.
    pub timing: Timing,
}

/// Loads and attaches all that this kernel allows. Every event is tried, whatever became of the others, so that a failure says of all
/// of them what became of them.
pub fn load(options: &LoadOptions) -> Result<Loaded, NotLoaded> {
    let mut timing = Timing::default();
    let reading = Reading::begin(plan::wants);
    let types = timing.of("types", TypeInfo::from_kernel);
    let listed = timing.of("symbols", || {
        let types = types.as_ref().ok()?;
        Some(Symbols::of_types(plan::functions(), types)).filter(plan::is_served)
    });
    let (symbols, reading) = match listed {
        // What the types list is enough; all that is left to learn is where a variable is, and that can wait.
        Some(symbols) => (symbols, Some(reading)),
        None => (
            timing.of("symbols", || reading.end()).map_err(|b| NotLoaded::at_all(b, &Symbols::default()))?,
            None,
        ),
    };
    let (mut loaded, types) =
        prepare(options, &symbols, types, timing).map_err(|blind| NotLoaded::at_all(blind, &symbols))?;
    let mut trampolines = loaded.timing.of("link", || Trampolines::new(OBJECT, &loaded.ebpf));
    for event in EVENTS {
        let verdict = loaded.attach(event, &symbols, &types, &mut trampolines, options);
        loaded.verdicts.push(verdict);
    }
    let finished = match blinding(&loaded.verdicts) {
        Some(blind) => Err(blind),
        None => loaded.load_refresh().and_then(|()| loaded.announce(options)),
    };
    match finished {
        Ok(()) => {
            let begin = Instant::now();
            let read = reading.map_or(Ok(symbols), Reading::end);
            loaded.timing.add("symbols", begin.elapsed());
            loaded.facts.vmbus_version = read.ok().and_then(|symbols| loaded.vmbus_version(&symbols));
            // After everything is attached: what comes about from now on is seen by the hooks, what was there before is found here.
            let begin = Instant::now();
            loaded.take_inventory();
            loaded.timing.add("inventory", begin.elapsed());
            Ok(loaded)
        }
        Err(blind) => Err(NotLoaded { blind, verdicts: loaded.verdicts, each: true }),
    }
}

/// Makes the maps; nothing is attached yet.
fn prepare(
    options: &LoadOptions,
    symbols: &Symbols,
    types: Result<TypeInfo, Blind>,
    mut timing: Timing,
) -> Result<(Loaded, TypeInfo), Blind> {
    let facts = Facts::from_kernel(symbols)?;
    if facts.hv_sock == HvSock::Absent {
        return Err(Blind::NoHvSock);
    }
    check_abi(OBJECT)?;
    let types = types?;
    let mut fields = timing.of("fields", || resolve(&types));
    tracepoints::resolve(&mut fields);
    raise_memlock();
    let layout = fields.layout;
    let ebpf = timing.of("maps", || create_maps(&layout, &facts, options))?;
    let loaded = Loaded {
        ebpf,
        trampolines: BTreeMap::new(),
        iterator: None,
        verdicts: Vec::new(),
        facts,
        fields,
        timing,
    };
    Ok((loaded, types))
}

/// The first required event that is not seen makes the tool blind, unless the caller wanted it so.
fn blinding(verdicts: &[Verdict]) -> Option<Blind> {
    let missing = verdicts.iter().find(|v| v.required && !v.is_active() && v.how != How::Denied)?;
    let (event, reason) = (missing.hook.name(), missing.reason.clone().unwrap_or_default());
    Some(if missing.refused {
        Blind::NotPermitted { action: "attach probes", reason: format!("the event `{event}`: {reason}") }
    } else {
        Blind::Required { event, reason }
    })
}

/// Compares the fingerprint inside the object with this binary's.
fn check_abi(object: &[u8]) -> Result<(), Blind> {
    let load = |reason: String| Blind::Load { reason };
    let file = object::File::parse(object).map_err(|e| load(e.to_string()))?;
    let found = file
        .symbols()
        .find(|s| s.name() == Ok("HVSOCK_ABI"))
        .and_then(|s| {
            let section = file.section_by_index(s.section_index()?).ok()?;
            let at = s.address() as usize;
            Some(u64::from_le_bytes(section.data().ok()?.get(at..at + 8)?.try_into().ok()?))
        })
        .ok_or_else(|| load("the object carries no fingerprint".into()))?;
    if found == ABI { Ok(()) } else { Err(Blind::AbiMismatch { found, wanted: ABI }) }
}

/// Kernels before 5.11 charge BPF memory to this limit; later ones ignore it, so a failure does not matter.
fn raise_memlock() {
    let unlimited = libc::rlimit { rlim_cur: libc::RLIM_INFINITY, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: passes a pointer to a valid structure.
    unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const unlimited) };
}

/// Log level of the programs: everything or nothing.
pub(super) const fn log_level(verbose: bool) -> u8 {
    if verbose { 5 } else { 0 }
}

fn create_maps(layout: &Layout, facts: &Facts, options: &LoadOptions) -> Result<Ebpf, Blind> {
    let level = log_level(options.verbose);
    let bytes = bytemuck::bytes_of(layout);
    EbpfLoader::new()
        .btf(None)
        .override_global("LAYOUT", GlobalData::from(bytes), true)
        .override_global("AYA_LOG_LEVEL", GlobalData::from(&level), false)
        .map_max_entries("CPUS", facts.possible_cpus)
        .load(OBJECT)
        .map_err(|e| because("create BPF maps", &e))
}

fn because(action: &'static str, error: &(dyn std::error::Error + 'static)) -> Blind {
    let Why { text: reason, refused } = Why::of(error);
    if refused { Blind::NotPermitted { action, reason } } else { Blind::Load { reason } }
}

impl Loaded {
    fn attach(
        &mut self,
        event: &Event,
        symbols: &Symbols,
        types: &TypeInfo,
        trampolines: &mut Result<Trampolines, String>,
        options: &LoadOptions,
    ) -> Verdict {
        let mut verdict = Verdict::unavailable(event);
        if options.deny.iter().any(|name| name == event.hook.name()) {
            verdict.how = How::Denied;
            verdict.reason = Some("denied on the command line".into());
            return verdict;
        }
        if let Some(field) = self.fields.first_missing(event.needs) {
            verdict.reason = Some(self.fields.missing[field].clone());
            return verdict;
        }
        for candidate in event.candidates {
            let result = match candidate.attach {
                Attach::Function if !symbols.has(candidate.symbol) => Err(None),
                Attach::Function => {
                    verdict.symbol = Some(candidate.symbol);
                    let module = symbols.module_of(candidate.symbol);
                    let names = plan::names_of(event.trampolines(), options.empty);
                    let kprobes = plan::names_of(event.kprobes(), options.empty);
                    let by_trampoline = match trampolines {
                        _ if options.kprobes_only => Err("kprobes were asked for".to_owned()),
                        Ok(trampolines) => trampolines
                            .attach(event.hook, &names, module, candidate.symbol, types, &mut self.timing)
                            .map(|links| self.trampolines.insert(event.hook, links)),
                        Err(why) => Err(why.clone()),
                    };
                    match by_trampoline {
                        Ok(_) => Ok((How::Trampoline, None)),
                        Err(first) => match self.kprobes(&kprobes, candidate.symbol) {
                            Ok(()) => Ok((How::Kprobe, Some(format!("no trampoline: {first}")))),
                            Err(Why { text, refused }) => {
                                let text = format!("{text} (and no trampoline: {first})");
                                Err(Some(Why { text, refused }))
                            }
                        },
                    }
                }
                Attach::Tracepoint { category } => {
                    verdict.symbol = Some(candidate.symbol);
                    let names = plan::names_of(vec![format!("tp_{}", event.hook.name())], options.empty);
                    self.tracepoint(&names[0], category, candidate.symbol)
                        .map(|()| (How::Tracepoint, None))
                        .map_err(Some)
                }
                Attach::Iterator => {
                    verdict.symbol = Some(candidate.symbol);
                    trampolines
                        .as_ref()
                        .map_err(Clone::clone)
                        .and_then(|programs| Iterator::attach(programs, candidate.symbol, types))
                        .map(|iterator| {
                            self.iterator = Some(iterator);
                            (How::Iterator, None)
                        })
                        .map_err(|why| Some(Why::from(why)))
                }
            };
            match result {
                Ok((how, reason)) => {
                    verdict.how = how;
                    verdict.reason = reason;
                    return verdict;
                }
                Err(Some(why)) => {
                    verdict.how = How::Failed;
                    verdict.reason = Some(why.text);
                    verdict.refused = why.refused;
                    return verdict;
                }
                Err(None) => {}
            }
        }
        let names: Vec<_> = event.candidates.iter().map(|c| c.symbol).collect();
        verdict.reason =
            Some(format!("this kernel has no function {} (or it is inlined)", names.join(" or ")));
        verdict
    }

    fn kprobes(&mut self, names: &[String], symbol: &str) -> Result<(), Why> {
        let begin = Instant::now();
        for name in names {
            let program: &mut KProbe = self.program(name)?;
            if program.fd().is_err() {
                program.load().map_err(|e| Why::of(&e))?;
            }
        }
        self.timing.add("load", begin.elapsed());
        let begin = Instant::now();
        let mut attached = Vec::new();
        for name in names {
            let program: &mut KProbe = self.program(name)?;
            match program.attach(symbol, 0) {
                Ok(link) => attached.push((name, link)),
                Err(e) => {
                    // Half a pair is worse than none.
                    for (name, link) in attached {
                        let program: &mut KProbe = self.program(name)?;
                        program.detach(link).map_err(|e| Why::of(&e))?;
                    }
                    return Err(Why::of(&e));
                }
            }
        }
        self.timing.add("attach", begin.elapsed());
        Ok(())
    }

    fn tracepoint(&mut self, program: &str, category: &str, name: &str) -> Result<(), Why> {
        let program: &mut TracePoint = self.program(program)?;
        let begin = Instant::now();
        if program.fd().is_err() {
            program.load().map_err(|e| Why::of(&e))?;
        }
        let loaded = begin.elapsed();
        program.attach(category, name).map_err(|e| Why::of(&e))?;
        self.timing.add("load", loaded);
        self.timing.add("attach", begin.elapsed().saturating_sub(loaded));
        Ok(())
    }

    fn program<'a, T>(&'a mut self, name: &str) -> Result<&'a mut T, String>
    where
        &'a mut T: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        self.ebpf
            .program_mut(name)
            .ok_or_else(|| format!("the object has no program {name}"))?
            .try_into()
            .map_err(|e: ProgramError| words(&e))
    }

    fn load_refresh(&mut self) -> Result<(), Blind> {
        let program: &mut aya::programs::RawTracePoint =
            self.program("refresh_rings").map_err(|reason| Blind::Load { reason })?;
        let begin = Instant::now();
        program.load().map_err(|e| because("load BPF programs", &e))?;
        if self.has_inventory() {
            let program: &mut aya::programs::RawTracePoint =
                self.program("refresh_listener").map_err(|reason| Blind::Load { reason })?;
            program.load().map_err(|e| because("load BPF programs", &e))?;
        }
        self.timing.add("load", begin.elapsed());
        Ok(())
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

    /// The VMBus protocol version. It is in no file: it is read from the kernel's own variable, where the kernel shows its address.
    fn vmbus_version(&mut self, symbols: &Symbols) -> Option<String> {
        let address = symbols.variable(VMBUS_VERSION)?;
        let program: &mut aya::programs::RawTracePoint = self.program("read_u32").ok()?;
        program.load().ok()?;
        facts::vmbus_version(self.run("read_u32", address).ok()?)
    }

    /// Looks at a listener that the inventory has found.
    pub fn refresh_listener(&self, sk: u64) -> Result<(), String> {
        self.run("refresh_listener", sk).map(drop)
    }

    /// Runs one of the programs that are never attached.
    fn run(&self, name: &str, arg: u64) -> Result<u32, String> {
        use aya::programs::{RawTracePoint, RawTracePointRunOptions, TestRun as _};
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

    /// Tells the programs what is attached.
    fn announce(&mut self, options: &LoadOptions) -> Result<(), Blind> {
        let active = self.verdicts.iter().filter(|v| v.is_active()).fold(0, |bits, v| bits | v.hook.bit());
        let config = [active, u64::from(options.events)];
        let map =
            self.ebpf.map_mut("CONFIG").ok_or_else(|| Blind::Load { reason: "no map CONFIG".into() })?;
        let mut map: Array<&mut MapData, [u64; 2]> =
            Array::try_from(map).map_err(|e| Blind::Load { reason: e.to_string() })?;
        const { assert!(size_of::<Config>() == size_of::<[u64; 2]>()) };
        map.set(0, config, 0).map_err(|e| because("write a BPF map", &e))
    }

    /// Whether hv_sock can be unloaded while this is attached, and may then have to be attached to again: a trampoline in a module holds
    /// it, a kprobe does not.
    pub fn can_go(&self) -> bool {
        let holds = |v: &Verdict| {
            v.how == How::Trampoline && v.symbol.is_some_and(|symbol| symbol.starts_with("hvs_"))
        };
        self.facts.hv_sock == HvSock::Module && !self.verdicts.iter().any(holds)
    }

    /// Whether the event is seen.
    pub fn sees(&self, hook: Hook) -> bool {
        self.verdicts.iter().any(|v| v.hook == hook && v.is_active())
    }

    /// How often the kernel did not run this event's programs because it was already inside one. `None`: the kernel does not say.
    pub fn missed(&self, hook: Hook) -> Option<u64> {
        let mut sum = 0;
        for link in self.trampolines.get(&hook).into_iter().flatten() {
            sum += super::trampoline::recursion_misses(link.program())?;
        }
        let event = EVENTS.iter().find(|e| e.hook == hook)?;
        for name in event.kprobes() {
            if let Some(Program::KProbe(program)) = self.ebpf.program(&name)
                && let Ok(fd) = program.fd()
            {
                sum += super::trampoline::recursion_misses(fd.as_fd())?;
            }
        }
        Some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_in_the_tree_matches_this_binary() {
        check_abi(OBJECT).unwrap();
    }
}
