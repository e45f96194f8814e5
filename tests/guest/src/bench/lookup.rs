//! The experiment with the lookups: AF_HYPERV by list, hash and pointer, and hv_sock, with idle connections and services in numbers.
//!
//! One JSON object a line on standard output, which `hvsock-top lookup experiment` checks and makes a report of. Whatever does not agree with
//! theory or with the host's ledger is found there.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{af_hyperv, host, traffic};
use serde_json::{Value, json};

use super::cells::{self, Room};
use super::walks::Kept;
use super::watch::Watch;

/// The host's port, where all connections of the guest go.
pub(super) const ECHO: u32 = 7200;
/// The guest's first service; the others follow.
pub(super) const SERVICE: u32 = 10_000;

/// Options of `guest bench lookup`.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Lookup {
    /// What the guest's clock counts
    #[arg(long, value_enum, default_value = "nanoseconds")]
    unit: Unit,
    /// Fewer and smaller cells
    #[arg(long)]
    quick: bool,
    /// Only this way of finding sockets (repeatable)
    #[arg(long, value_enum)]
    variant: Vec<Variant>,
}

/// What the guest's clock counts: instructions with `-icount shift=0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Unit {
    Instructions,
    Nanoseconds,
}

/// Whose sockets, and how they are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Variant {
    #[value(name = "af_hyperv_list")]
    List,
    #[value(name = "af_hyperv_hash")]
    Hash,
    #[value(name = "af_hyperv_pointer")]
    Pointer,
    #[value(name = "hv_sock")]
    HvSock,
}

impl Variant {
    const ALL: [Self; 4] = [Self::List, Self::Hash, Self::Pointer, Self::HvSock];

    const fn name(self) -> &'static str {
        match self {
            Self::List => "af_hyperv_list",
            Self::Hash => "af_hyperv_hash",
            Self::Pointer => "af_hyperv_pointer",
            Self::HvSock => "hv_sock",
        }
    }

    /// How bound sockets are kept.
    pub(super) const fn bound(self) -> Kept {
        if matches!(self, Self::List) { Kept::List } else { Kept::Hash }
    }

    /// How connected ones are.
    pub(super) const fn connected(self) -> Kept {
        match self {
            Self::List => Kept::List,
            Self::Hash => Kept::Hash,
            Self::Pointer | Self::HvSock => Kept::Pointer,
        }
    }

    /// Whether its module counts what it does.
    pub(super) const fn counts(self) -> bool {
        !matches!(self, Self::HvSock)
    }
}

/// What is measured.
pub(super) struct Plan {
    /// By number of services: numbers of idle connections, ascending.
    grid: &'static [(usize, &'static [usize])],
    /// With so many idle connections, and one service, cells are measured twice.
    twice: usize,
    /// Connections of a cell that go one after the other.
    pub(super) opens: usize,
    /// Connections of a burst. More do not fit beside the most idle ones: relids end at 2,047.
    pub(super) burst: usize,
    /// Idle connections of the cells with threads that bind.
    contended: &'static [usize],
    /// How often a thread binds at least.
    pub(super) binds: usize,
    /// Pauses where time counts, for what was set off to come to rest.
    rest_ms: u64,
}

const WHOLE: Plan = Plan {
    grid: &[(1, &[0, 100, 500, 1000, 1900]), (10, &[0, 500]), (100, &[0, 500]), (1000, &[0, 500])],
    twice: 500,
    opens: 20,
    burst: 100,
    contended: &[0, 1000],
    binds: 50,
    rest_ms: 20,
};

const QUICK: Plan = Plan {
    grid: &[(1, &[0, 40, 120]), (20, &[0])],
    twice: 0,
    opens: 5,
    burst: 20,
    contended: &[40],
    binds: 5,
    rest_ms: 5,
};

/// What hv_sock takes the size of its rings from. Of the smallest values it makes its smallest rings.
const BUFFERS: [&str; 2] = ["/proc/sys/net/core/wmem_default", "/proc/sys/net/core/rmem_default"];

/// A setting of the kernel's that goes back to what it was.
struct Setting {
    path: &'static str,
    was: String,
}

impl Setting {
    fn to_smallest(path: &'static str) -> Result<Self> {
        let was = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        fs::write(path, "4608").with_context(|| format!("cannot set {path}"))?;
        Ok(Self { path, was })
    }
}

impl Drop for Setting {
    fn drop(&mut self) {
        let _ = fs::write(self.path, &self.was);
    }
}

/// Measures, and prints.
pub(super) fn run(options: &Lookup) -> Result<()> {
    let plan = if options.quick { &QUICK } else { &WHOLE };
    let _small = BUFFERS.map(Setting::to_smallest).into_iter().collect::<Result<Vec<_>>>()?;
    host::host("refuse_delay 60000")?;
    host::host(&format!("mode {ECHO} echo"))?;
    let wanted = |v: &Variant| options.variant.is_empty() || options.variant.contains(v);
    for variant in Variant::ALL.into_iter().filter(wanted) {
        let act = || one(variant, options.unit, plan).with_context(|| variant.name());
        match variant {
            Variant::List => af_hyperv::in_place("lookup=list", act),
            Variant::Hash => af_hyperv::in_place("lookup=hash", act),
            Variant::Pointer => af_hyperv::in_place("lookup=pointer", act),
            Variant::HvSock => act(),
        }?;
    }
    Ok(())
}

fn one(variant: Variant, unit: Unit, plan: &Plan) -> Result<()> {
    let base = json!({
        "variant": variant.name(),
        "unit": if unit == Unit::Instructions { "instructions" } else { "nanoseconds" },
    });
    let say = |kind: &str, idle: usize, run: u32, cell: Value| {
        let mut all = base.clone();
        merge(&mut all, json!({ "idle": idle, "run": run }));
        merge(&mut all, cell);
        println!("{}", json!({ kind: all }));
    };
    // Sleeping costs nothing where only instructions count.
    let rest = Duration::from_millis(if unit == Unit::Instructions { 50 } else { plan.rest_ms });

    // With probes: the parts of an open.
    let mut watch = Watch::start()?;
    for (services, idles) in plan.grid {
        let mut room = Room::new(variant, *services, rest)?;
        for idle in *idles {
            room.grow(*idle)?;
            let both = *services == 1;
            for run in 1..=if both && *idle == plan.twice { 2 } else { 1 } {
                say("open", *idle, run, cells::from_host(&mut room, &mut watch, plan)?);
                if both {
                    say("open", *idle, run, cells::to_host(&mut room, &mut watch, plan)?);
                }
            }
        }
        room.empty()?;
    }
    watch.stop()?;

    // Without: how many, and who waits.
    let (services, idles) = plan.grid[0];
    let mut room = Room::new(variant, services, rest)?;
    if variant == Variant::List || variant == Variant::HvSock {
        let family = if variant.counts() { "af_hyperv" } else { "hv_sock" };
        println!("{}", json!({ "ring": { "unit": base["unit"], "family": family, "bytes": room.ring()? } }));
    }
    for idle in idles {
        room.grow(*idle)?;
        for run in 1..=if *idle == plan.twice { 2 } else { 1 } {
            say("burst", *idle, run, cells::burst_from_host(&mut room, plan)?);
            say("burst", *idle, run, cells::burst_to_host(&mut room, plan)?);
            if plan.contended.contains(idle) {
                for opening in [false, true] {
                    say("contention", *idle, run, cells::contention(&mut room, plan, opening)?);
                }
            }
        }
    }
    room.empty()
}

/// The members of both.
pub(super) fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// Services bound one after the other.
pub(super) fn listeners(count: usize) -> Result<Vec<Listener>> {
    let listen =
        |i| Listener::bind(SERVICE + i as u32, 128).with_context(|| format!("cannot listen, service {i}"));
    (0..count).map(listen).collect()
}

/// The guest's ports of connections, in their order.
pub(super) fn names(streams: &[Stream]) -> Result<Vec<u32>> {
    streams.iter().map(|s| Ok(s.ports()?.guest)).collect()
}

/// One connection more of the guest's.
pub(super) fn connect() -> Result<Stream> {
    traffic::connect(ECHO)
}

/// Fails unless the order in which sockets were bound is known.
pub(super) fn all_named(names: &[u32]) -> Result<()> {
    ensure!(names.iter().all(|n| *n > 0), "a connection without a name: {names:?}");
    Ok(())
}
