//! What sockets are looked up in, as the Snapshot tells it.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::{Value, json};

use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "lookup_tables",
        "vsock's tables in the Snapshot: sockets, buckets and chains as they were made; every lookup counts; how old the reading is",
        run,
    )
};

const BUCKETS: u32 = 251;
/// A port of the bucket that is crowded.
const CROWDED: u32 = 7000;
/// Sockets in it.
const CROWD: u32 = 600;
/// A port that nobody has.
const NOBODY: u32 = 6999;
/// Connections that one listener accepts.
const CHILDREN: u64 = 12;
/// Sockets that are not bound.
const UNBOUND: usize = 3;
/// At least so long between two readings.
const PACE_NS: u64 = 2_000_000_000;

fn run() -> Result<()> {
    let top = Top::start()?;
    top.wait("empty tables", |s| {
        for name in ["bound", "connected"] {
            table(s, name, &[])?;
        }
        compare::expect_all(s, &[("lookup/unbound", 0), ("lookup/bound_lookups", 0)])
    })?;

    let bind =
        |n: u32| Listener::bound(CROWDED + n * BUCKETS).with_context(|| format!("cannot bind socket {n}"));
    let crowd = (1..CROWD).map(bind).collect::<Result<Vec<_>>>()?;
    let listener = bind(0)?;
    listener.listen(64)?;
    // Two in a bucket, twice, and two by themselves.
    let others = [5, 6, 7, 8, 5 + BUCKETS, 6 + BUCKETS].map(|n| Listener::bound(CROWDED + n));
    let others = others.into_iter().collect::<Result<Vec<_>, _>>()?;
    let unbound = (0..UNBOUND).map(|_| Listener::unbound()).collect::<Result<Vec<_>, _>>()?;

    host::host(&format!("connect {CROWDED} echo 0 {CHILDREN}"))?;
    let children = traffic::accept(&listener, CHILDREN as usize, Duration::ZERO, steps::LIMIT)?;
    // In vain: a lookup nevertheless.
    host::host(&format!("connect {NOBODY} echo"))?;
    top.wait("the crowd, the children", |s| {
        table(s, "bound", &[(1, 2), (2, 2), (u64::from(CROWD), 1)])?;
        // All in one bucket: by the host's CID and the listener's port.
        table(s, "connected", &[(CHILDREN, 1)])?;
        compare::expect_all(
            s,
            &[
                ("lookup/unbound", UNBOUND as u64),
                ("lookup/bound_lookups", CHILDREN + 1),
                ("latency/lookup/count", CHILDREN),
            ],
        )
    })?;

    drop((children, crowd, listener, others, unbound));
    steps::all_gone()?;
    top.wait("empty tables again", |s| {
        for name in ["bound", "connected"] {
            table(s, name, &[])?;
        }
        compare::expect_all(s, &[("lookup/unbound", 0), ("lookup/bound_lookups", CHILDREN + 1)])
    })?;
    top.stop()?;
    ages()?;
    hidden()
}

/// The table has chains of so many sockets, each so many times.
fn table(s: &Snapshot, name: &str, chains: &[(u64, u64)]) -> Result<()> {
    let value = s.at(&format!("lookup/{name}")).context("no lookup")?;
    let sockets: u64 = chains.iter().map(|(length, n)| length * n).sum();
    let used: u64 = chains.iter().map(|(_, n)| n).sum();
    compare::expect_of(
        value,
        &[
            ("buckets", u64::from(BUCKETS)),
            ("sockets", sockets),
            ("used_buckets", used),
            ("longest_chain", chains.iter().map(|(length, _)| *length).max().unwrap_or(0)),
        ],
    )
    .context(name.to_owned())?;
    let wanted = json!(chains);
    ensure!(value["chains"] == wanted, "{name}: chains: expected {wanted}, got {value}");
    // One by one: the first socket of a chain is found at once, the second after two.
    let looked_at: u64 = chains.iter().map(|(length, n)| n * (1..=*length).sum::<u64>()).sum();
    for (field, sum, among) in [("mean_chain", sockets, used), ("nodes_per_hit", looked_at, sockets)] {
        if among == 0 {
            ensure!(value[field].is_null(), "{name}: {field} of an empty table: {value}");
            continue;
        }
        let (got, expected) = (value[field].as_f64().context(field)?, sum as f64 / among as f64);
        ensure!((got - expected).abs() < 1e-6, "{name}: {field}: expected {expected}, got {got}");
    }
    Ok(())
}

/// The tables are read every other second, however often Snapshots are taken, and each Snapshot says how long ago that was.
fn ages() -> Result<()> {
    let begun = uptime()?;
    let ended = once::hvsock_top(&["json", "--interval", "250ms", "--count", "16"])?;
    ensure!(ended.code == Some(0), "{ended:?}");
    let all = ended.stdout.lines().map(Snapshot::parse).collect::<Result<Vec<_>>>()?;
    let read = |s: &Snapshot| {
        let (now, age) = (s.number("uptime_ns")?, s.number("lookup/age_ns")?);
        now.checked_sub(age).filter(|at| *at > begun).context("read before it began")
    };
    let (mut again, mut kept) = (0, 0);
    for pair in all.windows(2) {
        let before = read(&pair[0])?;
        pair[1].check(|s| {
            let now = read(s)?;
            let new = now >= before + PACE_NS && s.number("lookup/age_ns")? < 100_000_000;
            ensure!(now == before || new, "read at {before}, then at {now}: {:?}", s.at("lookup"));
            Ok(())
        })?;
        if read(&pair[1])? == before { kept += 1 } else { again += 1 }
    }
    ensure!(again >= 1 && kept > 2 * again, "read anew {again} times, kept {kept} times");
    Ok(())
}

/// Where the kernel hides its addresses the tables are unknown, and the Snapshot says why; all else is there.
fn hidden() -> Result<()> {
    let why = "vsock_bind_table is not in /proc/kallsyms with its address: it takes CAP_SYSLOG, kernel.kptr_restrict below 2, and \
               CONFIG_KALLSYMS_ALL";
    let ended = once::shell("guest caps BPF,PERFMON,SYS_ADMIN,DAC_READ_SEARCH -- hvsock-top json --once")?;
    ended.snapshot()?.check(|s| {
        let lookup = s.at("lookup").context("no lookup")?;
        ensure!(lookup["unread"] == why, "expected {why:?}, got {lookup}");
        let known = ["age_ns", "unbound"].map(|name| &lookup[name]).into_iter().chain(
            ["bound", "connected"]
                .iter()
                .flat_map(|t| lookup[*t].as_object().into_iter().flat_map(|o| o.values())),
        );
        let known: Vec<&Value> = known.filter(|value| !value.is_null()).collect();
        ensure!(known.is_empty(), "known although unread: {known:?}");
        compare::expect(s, "lookup/bound_lookups", 0)
    })
}
