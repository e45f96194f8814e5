//! Every probe absent, one at a time.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(8),
    ..Scenario::new(
        "denied",
        "each probe denied in turn: what needs it is null, everything else as exact as ever",
        run,
    )
};

/// For each event, the numbers that become null without it. `conn` stands for a connection of either direction, `from`
/// and `to` for one of the host's or the guest's making, `listener` for a listener.
const NEEDS: &[(&str, &[&str])] = &[
    ("offer", &["conn/latency/offer_to_probe_ns", "latency/offer_to_probe", "totals/offers_waiting"]),
    (
        "lookup",
        &[
            "conn/latency/lookup_ns",
            "conn/latency/other_open_ns",
            "latency/lookup",
            "latency/other_open",
            "listener/drops/backlog_full",
            "opens/from_host/ambiguous",
            "opens/from_host/backlog_full",
            "opens/from_host/bad_state",
            "opens/from_host/no_listener",
            "opens/from_host/nomem_sock",
            "opens/from_host/not_vsock",
            "opens/from_host/other",
            "opens/to_host/host_refused",
            "opens/to_host/late_offers",
            "opens/to_host/ring_enomem",
        ],
    ),
    (
        "create",
        &[
            "listener/drops/backlog_full",
            "opens/from_host/ambiguous",
            "opens/from_host/backlog_full",
            "opens/from_host/bad_state",
            "opens/from_host/nomem_sock",
            "opens/from_host/other",
        ],
    ),
    ("transport", &["opens/from_host/other", "opens/from_host/transport"]),
    (
        "ring_alloc",
        &[
            "conn/latency/host_open_ns",
            "conn/latency/ring_alloc_ns",
            "latency/host_open",
            "latency/ring_alloc",
        ],
    ),
    (
        "host_open",
        &[
            "conn/latency/host_open_ns",
            "conn/latency/other_open_ns",
            "latency/host_open",
            "latency/other_open",
            "opens/from_host/host_refused",
            "opens/from_host/other",
            "opens/from_host/rescinded",
            "opens/from_host/ring_enomem",
            "opens/from_host/transport",
            "opens/to_host/host_refused",
            "opens/to_host/late_offers",
            "opens/to_host/ring_enomem",
        ],
    ),
    ("accept_queue", &["from/latency/accept_wait_ns", "latency/accept_wait"]),
    (
        "accept",
        &[
            "from/comm",
            "from/latency/accept_wait_ns",
            "from/pid",
            "latency/accept_wait",
            "listener/accepted",
            "listener/drops/never_accepted",
            "totals/never_accepted",
        ],
    ),
    (
        "connect",
        &[
            "latency/connect",
            "opens/to_host/abandoned",
            "opens/to_host/interrupted",
            "opens/to_host/not_permitted",
            "opens/to_host/other",
            "opens/to_host/refused",
            "opens/to_host/timed_out",
            "opens/to_host/unreachable",
            "to/comm",
            "to/latency/connect_ns",
            "to/pid",
        ],
    ),
    (
        "connect_end",
        &[
            "opens/to_host/interrupted",
            "opens/to_host/not_permitted",
            "opens/to_host/other",
            "opens/to_host/refused",
            "opens/to_host/timed_out",
            "opens/to_host/unreachable",
        ],
    ),
    ("connect_timeout", &["opens/to_host/timed_out"]),
    (
        "callback",
        &[
            "conn/callbacks/count",
            "conn/callbacks/run_ns",
            "conn/rings/in/invalid",
            "conn/rings/in/max_used_bytes",
            "conn/rings/in/occupancy",
            "latency/callback_delay",
            "latency/callback_run",
            "totals/callbacks",
            "totals/ring_invalid",
        ],
    ),
    ("interrupt", &["latency/callback_delay"]),
    (
        "ring_write",
        &[
            "conn/rings/out/full_by_2016_rule",
            "conn/rings/out/invalid",
            "conn/rings/out/max_used_bytes",
            "conn/rings/out/occupancy",
            "conn/tx/failed_writes",
            "conn/tx/packets",
            "totals/failed_writes",
            "totals/ring_invalid",
            "totals/tx_packets",
        ],
    ),
    (
        "enqueue",
        &[
            "conn/latency/first_byte_ns",
            "conn/tx/bytes",
            "conn/tx/calls",
            "conn/tx/short_writes",
            "latency/first_byte_rx",
            "latency/first_byte_tx",
            "totals/tx_bytes",
        ],
    ),
    (
        "dequeue",
        &[
            "conn/latency/first_byte_ns",
            "conn/rx/bytes",
            "conn/rx/calls",
            "conn/rx/packets",
            "conn/rx/wait_ns",
            "conn/rx/waiting_for_ns",
            "latency/first_byte_rx",
            "latency/first_byte_tx",
            "latency/recv_wait",
            "totals/rx_bytes",
            "totals/rx_packets",
        ],
    ),
    (
        "send_end",
        &[
            "conn/tx/eagain",
            "conn/tx/last_error",
            "conn/tx/stall_ns",
            "conn/tx/stalled_for_ns",
            "latency/send_stall",
            "totals/eagain",
            "totals/stall_ns",
        ],
    ),
    (
        "send_block",
        &[
            "conn/tx/stall_ns",
            "conn/tx/stalled_for_ns",
            "conn/tx/stalls",
            "latency/send_stall",
            "totals/stall_ns",
            "totals/stalls",
        ],
    ),
    (
        "send_ready",
        &[
            "conn/tx/stall_ns",
            "conn/tx/stalled_for_ns",
            "conn/tx/stalls",
            "latency/send_stall",
            "totals/stall_ns",
            "totals/stalls",
        ],
    ),
    ("recv_block", &["conn/rx/wait_ns", "conn/rx/waiting_for_ns", "conn/rx/waits", "latency/recv_wait"]),
    (
        "recv_end",
        &[
            "conn/rx/errors",
            "conn/rx/last_error",
            "conn/rx/wait_ns",
            "conn/rx/waiting_for_ns",
            "conn/rx/waits",
            "latency/recv_wait",
        ],
    ),
    ("release", &["closes/by_host", "closes/graceful", "latency/close", "opens/to_host/abandoned"]),
    ("rescind", &["closes/by_host", "closes/graceful", "closes/other", "latency/close"]),
    ("close_timeout", &["closes/graceful", "closes/other", "closes/timed_out", "latency/close"]),
];

/// What is null or empty even with every probe, in this traffic.
struct Plain {
    null: BTreeSet<String>,
    values: Vec<(String, Value)>,
}

fn run() -> Result<()> {
    host::host("mode 5600 echo")?;
    let whole = observe(&[])?;
    let mut wrong = Vec::new();
    for (event, expected) in NEEDS {
        let one = || -> Result<()> {
            let seen = observe(&["--deny-probe", event])?;
            let expected: BTreeSet<String> = expected.iter().flat_map(|path| spread(path)).collect();
            let got: BTreeSet<String> = seen.null.difference(&whole.null).cloned().collect();
            let missing: Vec<_> = expected.difference(&got).collect();
            let more: Vec<_> = got.difference(&expected).collect();
            ensure!(
                missing.is_empty() && more.is_empty(),
                "not null, but unknown without it: {missing:?}; null, but known without it: {more:?}"
            );
            for (path, value) in &whole.values {
                let Some((_, other)) = seen.values.iter().find(|(p, _)| p == path) else { continue };
                ensure!(value == other, "{path}: {value} with it, {other} without");
            }
            Ok(())
        };
        if let Err(error) = one() {
            wrong.push(format!("without {event}: {error:#}"));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// `conn` is a connection of either direction.
fn spread(path: &str) -> Vec<String> {
    match path.strip_prefix("conn/") {
        Some(rest) => vec![format!("from/{rest}"), format!("to/{rest}")],
        None => vec![path.to_owned()],
    }
}

/// Runs the same traffic under hvsock-top with these options: two connections, one of them closed; a drop.
fn observe(options: &[&str]) -> Result<Plain> {
    host::host("reset")?;
    let top = Top::start_with(options)?;
    let open = traffic()?;
    std::thread::sleep(Duration::from_millis(300));
    let ledger = host::ledger()?;
    let snapshot = top.wait("the connections and the drop", |s| {
        ensure!(s.connections()?.len() == 2, "connections: {}", s.connections()?.len());
        crate::compare::accounting(s)
    })?;
    ensure!(ledger.conns.iter().filter(|c| c.refused).count() == 1, "no drop");
    drop(open);
    steps::all_gone()?;
    let last = top.wait("no connection is left", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        crate::compare::accounting(s)
    })?;
    top.stop()?;
    plain(&snapshot, &last)
}

fn traffic() -> Result<(Listener, Stream, Stream)> {
    let listener = Listener::bind(6400, 8).context("cannot listen")?;
    host::host("connect 6400 echo")?;
    let from = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
    host::host("connect 6401 echo")?;
    let gone = traffic::connect(5600)?;
    traffic::echo(&gone, 300)?;
    drop(gone);
    steps::wait_ledger("one is gone", |l| l.of_service(5600).all(|c| !c.live()))?;
    let to = traffic::connect(5600)?;
    for (stream, bytes) in [(&from, 1000), (&to, 2000)] {
        traffic::echo(stream, bytes)?;
    }
    steps::wait_ledger("an offer without a listener is taken back", |l| {
        l.conns.iter().any(|c| c.refused && !c.live())
    })?;
    Ok((listener, from, to))
}

/// The Snapshot as paths: those that are null, and the values of those that the same traffic gives again.
fn plain(live: &Snapshot, last: &Snapshot) -> Result<Plain> {
    let mut plain = Plain { null: BTreeSet::new(), values: Vec::new() };
    let of = |direction: &str| {
        let mut found = live.connections().into_iter().flatten().filter(|c| c["direction"] == direction);
        found.next().with_context(|| format!("no connection {direction}"))
    };
    plain.walk("from", of("from_host")?);
    plain.walk("to", of("to_host")?);
    match live.listener(6400) {
        // What the inventory adds comes at its own pace, sooner or later than this look.
        Ok(listener) => {
            for part in ["accepted", "drops"] {
                let value = listener.get(part).with_context(|| format!("no listener/{part}"))?;
                plain.walk(&format!("listener/{part}"), value);
            }
        }
        Err(_) => drop(plain.null.insert("listener".into())),
    }
    for part in ["opens", "closes", "totals", "latency"] {
        plain.walk(part, last.at(part).with_context(|| format!("no {part}"))?);
    }
    Ok(plain)
}

impl Plain {
    fn walk(&mut self, path: &str, value: &Value) {
        match value {
            Value::Null => drop(self.null.insert(path.to_owned())),
            Value::Object(members) => {
                for (name, member) in members {
                    self.walk(&format!("{path}/{name}"), member);
                }
            }
            // Times, waits and what is counted by chance differ from run to run.
            _ if varies(path) => {}
            other => self.values.push((path.to_owned(), other.clone())),
        }
    }
}

fn varies(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ours = ["id", "relid", "local_port", "remote_port", "pid", "opened_at", "occupancy", "buckets"];
    // Whether a reader has to wait and how often the host interrupts is chance.
    let chance = ["waits", "calls", "max_used_bytes", "callbacks"];
    name.ends_with("_ns")
        || ours.contains(&name)
        || chance.contains(&name)
        || path.contains("callback")
        || path.contains("recv_wait")
}
