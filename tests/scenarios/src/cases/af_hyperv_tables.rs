//! AF_HYPERV's tables as the Snapshot tells them, against what the module itself counts.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::af_hyperv::{Counts, LOOKUPS, in_place};
use hvsock_guest::host;
use hvsock_guest::vsock::{Listener, Stream};
use serde_json::json;

use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::schema;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(5),
    ..Scenario::new(
        "af_hyperv_tables",
        "AF_HYPERV's tables in the Snapshot, by list, hash and pointer: the chains are those of the ports and relids, and the nodes walked are what the chains say",
        run,
    )
};

const BUCKETS: u32 = 251;
const FIRST: u32 = 6600;
/// Bound sockets whose ports share a bucket.
const TOGETHER: u32 = 12;
/// And those that are by themselves.
const APART: u32 = 18;

fn run() -> Result<()> {
    for lookup in LOOKUPS {
        in_place(&format!("lookup={lookup}"), || one(lookup)).with_context(|| format!("lookup={lookup}"))?;
    }
    Ok(())
}

fn one(lookup: &str) -> Result<()> {
    host::host("reset")?;
    uncounted()?;
    let begun = Counts::now()?;
    let top = Top::start_with(&["--count-nodes"])?;
    top.wait("empty tables", |s| {
        chains(s, "bound", &[])?;
        chains(s, "connected", &[])?;
        compare::expect(s, "lookup/bound_lookups", 0)
    })?;
    let mut ports: Vec<u32> = (0..TOGETHER).map(|n| FIRST + n * BUCKETS).collect();
    ports.extend((1..=APART).map(|n| FIRST + n));
    let listeners =
        ports.iter().map(|port| Listener::bind(*port, 4)).collect::<Result<Vec<_>, _>>().context("bind")?;
    let bucket = |key: u32| if lookup == "list" { 0 } else { key % BUCKETS };
    let bound: Vec<u32> = ports.iter().map(|port| bucket(*port)).collect();
    let seen = top.wait("the bound sockets", |s| chains(s, "bound", &bound))?;

    // Each is looked for once, so that the mean is that of the table.
    let before = Counts::now()?;
    ensure!(before.bound == ports.len() as u64, "{before:?}");
    let mut children = Vec::new();
    for (port, listener) in ports.iter().zip(&listeners) {
        host::host(&format!("connect {port} echo"))?;
        children.push(listener.accept(steps::LIMIT)?.context("nothing to accept")?);
    }
    let found = Counts::now()?;
    let all = ports.len() as u64;
    ensure!(found.bound_lookups - before.bound_lookups == all, "{before:?} {found:?}");
    expect_nodes(&seen, "bound", found.bound_nodes - before.bound_nodes, all)?;

    let ledger = host::ledger()?;
    let connected: Vec<u32> = ledger.live().map(|c| bucket(c.relid)).collect();
    ensure!(connected.len() as u64 == found.connected, "{found:?}: {connected:?}");
    let seen = top.wait("the connected sockets", |s| {
        chains(s, "bound", &bound)?;
        chains(s, "connected", &connected)?;
        compare::expect(s, "lookup/bound_lookups", all)?;
        searched(s, begun, found)
    })?;
    report(&bound, &connected)?;

    // The host takes them away, the oldest first: of a chain of n, the nth, then the last of those left, …
    let nodes = take_back(&ports, &children)?;
    if lookup == "pointer" {
        ensure!(nodes == all, "{nodes} nodes for {all} lookups by pointer");
    } else {
        expect_nodes(&seen, "connected", nodes, all)?;
    }
    let ended = Counts::now()?;
    top.wait("every node", |s| searched(s, begun, ended))?;
    drop((children, listeners));
    steps::all_gone()?;
    top.wait("empty tables again", |s| chains(s, "bound", &[]).and_then(|()| chains(s, "connected", &[])))?;
    top.stop()
}

/// Nodes that the module has gone past in its connected sockets until all were taken back.
fn take_back(ports: &[u32], children: &[Stream]) -> Result<u64> {
    let before = Counts::now()?;
    for (port, child) in ports.iter().zip(children) {
        host::host(&format!("rescind {port}"))?;
        ensure!(child.drain()? == 0, "bytes nobody sent");
    }
    let ended = Counts::now()?;
    let lookups = ended.connected_lookups - before.connected_lookups;
    ensure!(ended.connected == 0 && lookups == ports.len() as u64, "{before:?} {ended:?}");
    Ok(ended.connected_nodes - before.connected_nodes)
}

/// The searches and their nodes are those that the module has counted meanwhile.
fn searched(s: &Snapshot, before: Counts, now: Counts) -> Result<()> {
    compare::expect_all(
        s,
        &[
            ("lookup/searches/bound/lookups", now.bound_lookups - before.bound_lookups),
            ("lookup/searches/bound/nodes", now.bound_nodes - before.bound_nodes),
            ("lookup/searches/connected/lookups", now.connected_lookups - before.connected_lookups),
            ("lookup/searches/connected/nodes", now.connected_nodes - before.connected_nodes),
        ],
    )
}

/// Nodes are counted only when that is asked for.
fn uncounted() -> Result<()> {
    once::hvsock_top(&["json", "--once"])?.snapshot()?.check(|s| {
        let lookup = s.at("lookup").context("no lookup")?;
        let why = "not asked for (--count-nodes)";
        ensure!(lookup["searches"].is_null() && lookup["uncounted"] == why, "expected {why:?}, got {lookup}");
        Ok(())
    })
}

/// What the module walked is what the chains say.
fn expect_nodes(s: &Snapshot, name: &str, walked: u64, lookups: u64) -> Result<()> {
    let path = format!("lookup/{name}/nodes_per_hit");
    let told = s.at(&path).and_then(serde_json::Value::as_f64).with_context(|| format!("no {path}"))?;
    let counted = walked as f64 / lookups as f64;
    ensure!(
        (told - counted).abs() < 1e-6,
        "{path}: {told}, but the module went past {counted} nodes per lookup"
    );
    Ok(())
}

/// The table has a chain for each of these buckets, as long as the bucket is often.
fn chains(s: &Snapshot, name: &str, buckets: &[u32]) -> Result<()> {
    let mut lengths = BTreeMap::new();
    for bucket in buckets {
        *lengths.entry(*bucket).or_insert(0_u64) += 1;
    }
    let mut wanted = BTreeMap::new();
    for length in lengths.values() {
        *wanted.entry(*length).or_insert(0_u64) += 1;
    }
    let table = s.at(&format!("lookup/{name}")).context("no lookup")?;
    let pairs = json!(wanted.into_iter().collect::<Vec<_>>());
    ensure!(table["chains"] == pairs, "{name}: chains: expected {pairs}, got {table}");
    compare::expect_of(table, &[("sockets", buckets.len() as u64), ("buckets", BUCKETS.into())])?;
    ensure!(s.at("lookup/unbound").is_some_and(serde_json::Value::is_null), "it keeps no unbound sockets");
    Ok(())
}

/// `lookup live` says the same, bucket by bucket.
fn report(bound: &[u32], connected: &[u32]) -> Result<()> {
    let ended = once::hvsock_top(&["lookup", "live", "--json", "--for", "10ms"])?;
    let report = schema::LOOKUP.parse(&ended.stdout)?;
    ensure!(report["family"] == "af_hyperv", "{report}");
    for (name, buckets) in [("bound", bound), ("connected", connected)] {
        let told = report["tables"][name]["buckets"].as_array().with_context(|| format!("no {name}"))?;
        for (bucket, told) in (0_u32..).zip(told) {
            let wanted = buckets.iter().filter(|b| **b == bucket).count();
            ensure!(*told == wanted, "{name}: bucket {bucket}: expected {wanted}, got {told}");
        }
    }
    let text = once::hvsock_top(&["lookup", "live", "--for", "10ms"])?.stdout;
    ensure!(text.contains("AF_HYPERV's tables") && !text.contains("vsock's tables"), "{text}");
    Ok(())
}
