//! Made-up records.

use serde_json::json;

use crate::model::{EventKind, LifecycleEvent, Number, Snapshot};

/// The `n`th Snapshot, with something of every kind that JSON can get wrong: large numbers, real ones, quotes, and what is unknown.
pub(super) fn snapshot(n: u64) -> Snapshot {
    let mut snapshot: Snapshot = serde_json::from_value(json!({
        "schema": crate::model::SCHEMA,
        "time": format!("2026-01-02T03:04:{:02}.000Z", n % 60),
        "interval_ns": n.checked_sub(1).map(|_| 1_000_000_000),
        "uptime_ns": 5_000_000_000 + n * 1_000_000_000,
        "host": { "kernel": "6.12.0-test", "hostname": "gu\"est", "hv_sock": "module", "family": "vsock" },
        "memory": {},
        "tool": { "version": "0.1.0", "pid": 1 },
        "opens": { "from_host": {}, "to_host": { "ok": u64::MAX } },
        "closes": {},
        "connections": [],
        "ports": [],
        "listeners": [],
        "latency": {
            "connect_ns": { "count": n, "sum_ns": n * 100, "min_ns": 7, "buckets": [[100, n]] },
            "close_ns": null,
        },
        "totals": { "tx_bytes": n * 1000, "relids_max": 2047 },
        "probes": [],
        "accounting": { "reconciled": true },
        "findings": [{
            "rule": "stalls", "severity": "warning", "summary": "s", "remedy": "r", "connections": [],
            "evidence": {}, "thresholds": {},
        }],
    }))
    .unwrap();
    let evidence = &mut snapshot.findings.as_mut().unwrap()[0].evidence;
    // Reals whose shortest form is easily read back as a neighbour.
    for (i, real) in
        [0.1 + 0.2, 1.0, 5e-324, 1.797_693_134_862_315_7e308, 123_456_789.123_456_79].iter().enumerate()
    {
        evidence.insert(format!("real{i}"), Number::Real(*real));
    }
    evidence.insert("whole".into(), Number::Whole(u64::MAX));
    snapshot
}

/// The `n`th event.
pub(super) fn event(n: u64) -> LifecycleEvent {
    LifecycleEvent {
        event: EventKind::Opened,
        id: Some(format!("{n}-1")),
        comm: Some("a\u{fffd}b\tc".into()),
        lost: None,
        ..LifecycleEvent::lost(0)
    }
}
