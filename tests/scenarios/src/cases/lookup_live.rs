//! How full vsock's tables are, and what the lookup takes of an open.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::once;
use crate::runner::Scenario;
use crate::schema;
use crate::snapshot::number;
use crate::steps;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "lookup_live",
        "vsock's tables, bucket by bucket: crowded, shared, empty; lookups and phases as many as opens",
        run,
    )
};

const BUCKETS: u32 = 251;
/// A port of the bucket that is crowded.
const CROWDED: u32 = 7000;
/// Sockets in it: more than the program goes past in one run.
const CROWD: u32 = 600;
/// Connections that one listener accepts.
const CHILDREN: u64 = 12;

fn run() -> Result<()> {
    let bind =
        |n: u32| Listener::bound(CROWDED + n * BUCKETS).with_context(|| format!("cannot bind socket {n}"));
    let crowd = (1..CROWD).map(bind).collect::<Result<Vec<_>>>()?;
    let listener = bind(0)?;
    listener.listen(64)?;
    let other = Listener::bound(CROWDED + 5)?;

    // Opens while it watches: it looks at the kernel before and after.
    let mut watching = Command::new("hvsock-top")
        .args(["lookup", "live", "--json", "--for", "10m"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    attached(watching.id())?;
    host::host(&format!("connect {CROWDED} echo 0 {CHILDREN}"))?;
    let children = traffic::accept(&listener, CHILDREN as usize, Duration::ZERO, steps::LIMIT)?;
    // Children are counted as opened a moment before they can be accepted, and their phases a moment later.
    thread::sleep(Duration::from_secs(1));
    kill_process(Pid::from_child(&watching), Signal::INT)?;
    let ended = once::ended(&mut watching)?;
    ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    let report = schema::LOOKUP.parse(&ended.stdout)?;
    ensure!(report["tables_unread"].is_null(), "{report}");

    let bound = &report["tables"]["bound"];
    expect(bound, CROWDED % BUCKETS, u64::from(CROWD))?;
    expect(bound, (CROWDED + 5) % BUCKETS, 1)?;
    ensure!(number(bound, "sockets")? == u64::from(CROWD) + 1, "{bound}");
    ensure!(number(bound, "longest")? == u64::from(CROWD), "{bound}");
    ensure!(number(bound, "empty_buckets")? == u64::from(BUCKETS) - 2, "{bound}");
    // A socket of the crowd is found after half of it, the one by itself at once.
    let crowd_f = f64::from(CROWD);
    let nodes = (crowd_f * (crowd_f + 1.0) / 2.0 + 1.0) / (crowd_f + 1.0);
    let found = bound["nodes_per_hit"].as_f64().context("no nodes_per_hit")?;
    ensure!((found - nodes).abs() < 1e-6, "{found} nodes per hit, not {nodes}");

    // Children are in no bind table, and all in one bucket here: by the host's CID, 2, and the listener's port.
    let connected = &report["tables"]["connected"];
    expect(connected, (2 ^ CROWDED) % BUCKETS, CHILDREN)?;
    ensure!(number(connected, "sockets")? == CHILDREN, "{connected}");

    ensure!(number(&report, "lookups")? == CHILDREN, "{report}");
    let phases = report["phases"].as_array().context("no phases")?;
    for phase in phases {
        ensure!(number(phase, "count")? == CHILDREN, "{phase}");
    }
    let shares: f64 = phases.iter().filter_map(|phase| phase["share"].as_f64()).sum();
    ensure!(phases.len() == 5 && (shares - 1.0).abs() < 1e-6, "shares add up to {shares}: {phases:?}");
    let devices = fs::read_dir("/sys/bus/vmbus/devices")?.count() as u64;
    ensure!(number(&report, "scan/channels")? == devices && devices >= CHILDREN, "{devices}: {report}");

    drop((children, crowd, listener, other));
    steps::all_gone()?;
    let ended = once::hvsock_top(&["lookup", "live", "--json", "--for", "10ms"])?;
    let report = schema::LOOKUP.parse(&ended.stdout)?;
    for table in ["bound", "connected"] {
        ensure!(number(&report["tables"][table], "sockets")? == 0, "{table} afterwards: {report}");
    }
    ensure!(number(&report, "lookups")? == 0, "{report}");
    for time in ["0s", "soon", "-1s"] {
        once::hvsock_top(&["lookup", "live", "--for", time])?.fails(2, &[])?;
    }
    once::hvsock_top_as_nobody(&["lookup", "live"])?.fails(3, &["setcap"])
}

/// Waits until the process has opened all that it will: a file for each program, map and probe.
fn attached(process: u32) -> Result<()> {
    let open = || -> Result<usize> { Ok(fs::read_dir(format!("/proc/{process}/fd"))?.count()) };
    let (end, mut since, mut before) = (Instant::now() + steps::LIMIT * 3, Instant::now(), 0);
    while before < 50 || since.elapsed() < Duration::from_secs(4) {
        ensure!(Instant::now() < end, "not attached within a minute: {before} files");
        thread::sleep(Duration::from_millis(100));
        let now = open()?;
        if now != before {
            (before, since) = (now, Instant::now());
        }
    }
    Ok(())
}

fn expect(table: &Value, bucket: u32, sockets: u64) -> Result<()> {
    let found = table["buckets"][bucket as usize].as_u64();
    ensure!(found == Some(sockets), "bucket {bucket}: {found:?}, not {sockets}");
    Ok(())
}
