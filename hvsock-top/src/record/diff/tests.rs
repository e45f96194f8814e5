//! Recordings of made-up loads, compared.

use std::io::{self, Write};

use serde_json::{Value, json};

use super::*;
use crate::{
    model::Snapshot,
    record::{End, Header, Output, Writer},
};

/// A stream whose bytes can be looked at.
#[derive(Clone, Default)]
struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The Snapshot of second `n`, with nothing going on; `change` changes it.
fn snapshot(n: u64, change: &dyn Fn(u64, &mut Value)) -> Snapshot {
    let from_host = json!({ "ok": 0, "not_vsock": 0, "no_listener": 0, "bad_state": 0, "backlog_full": 0, "nomem_sock": 0,
        "transport": 0, "ring_enomem": 0, "host_refused": 0, "rescinded": 0, "ambiguous": 0, "other": 0 });
    let to_host = json!({ "ok": 0, "timed_out": 0, "refused": 0, "interrupted": 0, "unreachable": 0, "not_permitted": 0,
        "abandoned": 0, "other": 0, "late_offers": 0, "ring_enomem": 0, "host_refused": 0 });
    let hook = json!({ "seen": n, "recorded": n, "filtered": 0, "ring_full": 0, "map_full": 0, "faulted": 0, "unpaired": 0,
        "in_flight": 0, "missed": 0 });
    let mut value = json!({
        "schema": crate::model::SCHEMA, "time": "2026-01-02T03:04:05.000Z", "uptime_ns": 5_000_000_000 + n * 1_000_000_000,
        "host": { "kernel": "6.12.0-test", "hostname": "guest", "hv_sock": "module", "family": "vsock" },
        "memory": {}, "tool": { "version": "0.1.0", "pid": 1, "cpu_ns": 1000 * n },
        "opens": { "from_host": from_host, "to_host": to_host },
        "closes": { "graceful": 0, "timed_out": 0, "by_host": 0, "other": 0 },
        "connections": [], "ports": [], "listeners": [],
        "latency": { "connect": { "count": 0, "sum_ns": 0, "buckets": [] } },
        "totals": { "tx_bytes": 0, "rx_bytes": 0, "tx_packets": 0, "rx_packets": 0, "callbacks": 0, "stalls": 0, "stall_ns": 0,
            "eagain": 0, "short_writes": 0, "failed_writes": 0, "ring_invalid": 0, "wait_ns": 0, "live_connections": 3,
            "relids_max": 2047, "never_accepted": 0 },
        "probes": [], "accounting": { "enqueue": hook, "dequeue": hook, "reconciled": true },
    });
    change(n, &mut value);
    serde_json::from_value(value).unwrap()
}

fn recording(seconds: u64, change: &dyn Fn(u64, &mut Value)) -> (String, Replay) {
    let bytes = Shared::default();
    let header = Header::new(&snapshot(0, change), 1_000_000_000, None);
    let mut writer = Writer::begin(Output::stream(bytes.clone(), "test"), header).unwrap();
    for n in 0..=seconds {
        writer.snapshot(&snapshot(n, change)).unwrap();
    }
    let end = End { time: String::new(), snapshots: seconds + 1, events: 0, lost: 0, exit_status: None };
    writer.end(&end).unwrap();
    let bytes = bytes.0.lock().unwrap().clone();
    ("test".to_owned(), Replay::new(Box::new(io::Cursor::new(bytes)), "test").unwrap())
}

fn metric<'a>(diff: &'a Diff, name: &str) -> &'a Metric {
    diff.metrics.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("no metric {name}"))
}

/// Something like noise, at most 10.
fn noise(n: u64, seed: u64) -> u64 {
    (n.wrapping_mul(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) % 11
}

/// A counter that grows by `rate` and some noise a second.
fn grown(n: u64, rate: u64, seed: u64) -> u64 {
    (1..=n).map(|n| rate + noise(n, seed)).sum()
}

fn sending(rate: u64, seed: u64) -> impl Fn(u64, &mut Value) {
    move |n, s| s["totals"]["tx_bytes"] = grown(n, rate, seed).into()
}

#[test]
fn the_same_load_does_not_differ() {
    let diff = compare(recording(60, &sending(100, 3)), recording(45, &sending(100, 7)));
    let marked: Vec<_> = diff.metrics.iter().filter(|m| m.is_marked()).collect();
    assert!(marked.is_empty(), "{marked:?}");
    let sent = metric(&diff, "tx_bytes");
    assert_eq!((sent.verdict, sent.samples_a, sent.samples_b), (Verdict::Same, 60, 45));
    assert!((100.0..110.0).contains(&sent.a.unwrap()), "{sent:?}");
    assert_eq!(diff.notes, Vec::<String>::new());
    assert_eq!(metric(&diff, "connections").a, Some(3.0));
}

#[test]
fn a_faster_load_differs_and_little_of_it_does_not() {
    let diff = compare(recording(60, &sending(100, 3)), recording(60, &sending(150, 3)));
    let sent = metric(&diff, "tx_bytes");
    assert_eq!(sent.verdict, Verdict::Differs);
    assert!((sent.change.unwrap() - 0.476).abs() < 0.01 && sent.p.unwrap() < 1e-9, "{sent:?}");
    // Beyond doubt, yet too small to matter.
    let diff = compare(
        recording(60, &|n, s| s["totals"]["tx_bytes"] = (1000 * n).into()),
        recording(60, &|n, s| {
            s["totals"]["tx_bytes"] = (1030 * n).into();
        }),
    );
    assert_eq!(metric(&diff, "tx_bytes").verdict, Verdict::Same);
}

#[test]
fn few_intervals_prove_nothing() {
    let diff = compare(recording(60, &sending(100, 3)), recording(7, &sending(1000, 3)));
    assert_eq!(metric(&diff, "tx_bytes").verdict, Verdict::TooFew);
}

#[test]
fn one_burst_is_not_a_rate_but_a_first_failure_is_told() {
    let burst = |n: u64, s: &mut Value| {
        let n = if n >= 30 { 40 } else { 0 };
        s["totals"]["tx_bytes"] = n.into();
        s["opens"]["from_host"]["backlog_full"] = n.into();
    };
    let diff = compare(recording(60, &|_, _| {}), recording(60, &burst));
    assert_eq!(metric(&diff, "tx_bytes").verdict, Verdict::Same);
    let drops = metric(&diff, "opens.from_host.backlog_full");
    assert_eq!((drops.verdict, drops.a, drops.change), (Verdict::OnlyB, Some(0.0), None));
    assert!((drops.b.unwrap() - 40.0 / 60.0).abs() < 1e-9);
    assert_eq!(metric(&diff, "opens.from_host.failed").verdict, Verdict::OnlyB);
    let diff = compare(recording(60, &burst), recording(60, &|_, _| {}));
    assert_eq!(metric(&diff, "opens.from_host.backlog_full").verdict, Verdict::OnlyA);
}

#[test]
fn percentiles_are_of_what_was_added_meanwhile() {
    // Before the recording all took longer.
    let latency = |slow: u64| {
        move |n: u64, s: &mut Value| {
            s["latency"]["connect"] = json!({ "count": 5000 + n * 20, "sum_ns": 1, "max_ns": 9000, "buckets": [[1000, n * 20 - n * slow], [2000, n * slow], [9000, 5000]] });
        }
    };
    let diff = compare(recording(60, &latency(1)), recording(60, &latency(15)));
    let p50 = metric(&diff, "latency.connect.p50");
    assert_eq!(
        (p50.a, p50.b, p50.verdict, p50.samples_a),
        (Some(1000.0), Some(2000.0), Verdict::Differs, 1200)
    );
    let p99 = metric(&diff, "latency.connect.p99");
    assert_eq!((p99.a, p99.b, p99.verdict), (Some(2000.0), Some(2000.0), Verdict::Same));
    // Three values say nothing of the 99th percentile.
    let few = |n: u64, s: &mut Value| {
        s["latency"]["connect"] =
            json!({ "count": n.min(3), "sum_ns": 1, "max_ns": 900, "buckets": [[900, n.min(3)]] });
    };
    let diff = compare(recording(60, &latency(1)), recording(60, &few));
    assert_eq!(metric(&diff, "latency.connect.p99").verdict, Verdict::TooFew);
}

#[test]
fn what_was_not_measured_or_missed_is_not_comparable() {
    let blind = |_: u64, s: &mut Value| {
        s["totals"]["callbacks"] = Value::Null;
        s["latency"]["connect"] = Value::Null;
    };
    let diff = compare(recording(60, &|_, _| {}), recording(60, &blind));
    let callbacks = metric(&diff, "callbacks");
    assert_eq!(callbacks.verdict, Verdict::NotComparable);
    assert_eq!((callbacks.reason.as_deref(), callbacks.b), (Some("not measured in B"), None));
    assert_eq!(metric(&diff, "latency.connect.p50").verdict, Verdict::NotComparable);

    let missed = |_: u64, s: &mut Value| {
        s["accounting"]["enqueue"]["missed"] = 1.into();
        s["accounting"]["reconciled"] = false.into();
    };
    let diff = compare(recording(60, &missed), recording(60, &|_, _| {}));
    let sent = metric(&diff, "tx_bytes");
    assert_eq!(sent.reason.as_deref(), Some("events of enqueue were missed in A"));
    assert_eq!(metric(&diff, "rx_bytes").verdict, Verdict::Same, "what is not theirs is comparable");

    // Torn records: nobody knows where.
    let torn = |_: u64, s: &mut Value| s["accounting"]["reconciled"] = false.into();
    let diff = compare(recording(60, &torn), recording(60, &|_, _| {}));
    assert!(diff.metrics.iter().all(|m| m.verdict == Verdict::NotComparable));

    // Lost events are no lost counts.
    let lost = |_: u64, s: &mut Value| {
        s["accounting"]["enqueue"] = json!({ "seen": 5, "recorded": 3, "filtered": 0, "ring_full": 2, "map_full": 0,
            "faulted": 0, "unpaired": 0 });
        s["accounting"]["reconciled"] = false.into();
    };
    let diff = compare(recording(60, &lost), recording(60, &|_, _| {}));
    assert_eq!(metric(&diff, "tx_bytes").verdict, Verdict::Same);

    let back = |n: u64, s: &mut Value| s["totals"]["tx_bytes"] = (100 - n).into();
    let diff = compare(recording(60, &|_, _| {}), recording(60, &back));
    assert_eq!(metric(&diff, "tx_bytes").reason.as_deref(), Some("it went back in B"));
}

#[test]
fn other_circumstances_are_noted() {
    let other = |_: u64, s: &mut Value| {
        s["host"]["kernel"] = "6.1.0".into();
        s["probes"] = json!([{ "event": "open", "backend": "kprobe", "state": "active", "required": true }]);
    };
    let with_probe = |_: u64, s: &mut Value| {
        s["probes"] = json!([{ "event": "open", "backend": "fentry", "state": "active", "required": true }]);
    };
    let diff = compare(recording(10, &with_probe), recording(10, &other));
    assert_eq!(diff.notes.len(), 2, "{:?}", diff.notes);
    assert!(
        diff.notes[0].contains("6.1.0") && diff.notes[1].contains("open is attached"),
        "{:?}",
        diff.notes
    );
}

#[test]
fn the_schema_in_the_documentation_is_this() {
    let path = format!("{}/../docs/schema/diff.json", env!("CARGO_MANIFEST_DIR"));
    let kept: Value =
        serde_json::from_str(&std::fs::read_to_string(&path).unwrap_or_default()).unwrap_or_default();
    let schema = serde_json::to_value(crate::model::schema::of::<Diff>()).unwrap();
    assert_eq!(
        kept, schema,
        "make it anew: cargo run -p hvsock-top -- diff --schema > docs/schema/diff.json"
    );
}
