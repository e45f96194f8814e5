//! Carrying out the plan: load the object, attach what this kernel allows, and say of every event what became of it.

use std::{collections::BTreeMap, time::Instant};

use aya::{
    Ebpf, EbpfLoader, GlobalData,
    maps::{Array, MapData},
    programs::RawTracePoint,
};
use hvsock_common::{ABI, Config, Layout};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};

use super::{
    Blind, Facts, How, HvSock, NotLoaded, Symbols, TypeInfo, Verdict,
    attach::Means,
    facts,
    fields::resolve,
    loaded::{LoadOptions, Loaded},
    plan::{self, VMBUS_VERSION},
    searches::Searches,
    symbols::Reading,
    sys,
    tables::{Tables, Unread},
    timing::Timing,
    tracepoints,
    trampoline::Trampolines,
    verdict::Why,
};

/// Kernels that have this count for each program how often a tracepoint or kprobe did not run it: both came with the same change.
const SKIPPED: &str = "bpf_link_info.perf_event.kprobe.missed";

/// The programs, built by `cargo xtask build-ebpf`.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../bpf/hvsock.bpf.o");

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
    let trampolines = loaded.timing.of("link", || Trampolines::new(OBJECT, &loaded.ebpf));
    let mut means = Means { symbols: &symbols, types: &types, trampolines, options };
    for event in plan::events_of(loaded.facts.family) {
        let verdict = loaded.attach(event, &mut means);
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
            match read {
                Ok(symbols) => {
                    loaded.facts.vmbus_version = loaded.vmbus_version(&symbols);
                    let family = loaded.facts.family;
                    if !options.without_tables {
                        loaded.tables = loaded.timing.of("tables", || Tables::load(&symbols, family));
                    }
                    loaded.searches = Searches::attach(options, &symbols, &types, family);
                }
                Err(blind) => {
                    loaded.tables = Err(Unread::Kernel(blind.to_string()));
                    loaded.searches = Err(blind.to_string());
                }
            }
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
    let mut fields = timing.of("fields", || resolve(&types, facts.family));
    tracepoints::resolve(&mut fields);
    sys::raise_memlock();
    let layout = fields.layout;
    let ebpf = timing.of("maps", || create_maps(&layout, &facts, options))?;
    let loaded = Loaded {
        ebpf,
        trampolines: BTreeMap::new(),
        kprobes: BTreeMap::new(),
        iterator: None,
        verdicts: Vec::new(),
        facts,
        fields,
        counts_skipped: types.offset(SKIPPED).is_some(),
        tables: Err(Unread::Kernel("nobody has asked for them".into())),
        searches: Err("nobody has asked for them".into()),
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
    fn load_refresh(&mut self) -> Result<(), Blind> {
        let program: &mut RawTracePoint =
            self.program("refresh_rings").map_err(|reason| Blind::Load { reason })?;
        let begin = Instant::now();
        program.load().map_err(|e| because("load BPF programs", &e))?;
        if self.has_inventory() {
            let program: &mut RawTracePoint =
                self.program("refresh_listener").map_err(|reason| Blind::Load { reason })?;
            program.load().map_err(|e| because("load BPF programs", &e))?;
        }
        self.timing.add("load", begin.elapsed());
        Ok(())
    }

    /// The VMBus protocol version. It is in no file: it is read from the kernel's own variable, where the kernel shows its address.
    fn vmbus_version(&mut self, symbols: &Symbols) -> Option<String> {
        let address = symbols.variable(VMBUS_VERSION)?;
        let program: &mut RawTracePoint = self.program("read_u32").ok()?;
        program.load().ok()?;
        facts::vmbus_version(self.run("read_u32", address).ok()?)
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_in_the_tree_matches_this_binary() {
        check_abi(OBJECT).unwrap();
    }
}
