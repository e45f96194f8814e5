//! Guests to look at: recorded, and made up for what no recording has.

use std::io::Cursor;

use crate::{
    findings::{Judge, Limits},
    model::{
        Connection, Direction, EventKind, LifecycleEvent, Listener, ListenerDrops, Lookup, LookupTable, Sent,
        Snapshot, State,
    },
    record::{Record, Replay},
    tui::{App, Update},
};

/// The recording that the repository carries: a guest of the test bed, busy with services of every kind.
const DEMO: &[u8] = include_bytes!("../../../tests/data/demo.hvrec");

/// Shows the first `n` Snapshots of the recording, with their events.
pub(super) fn demo(app: &mut App, n: usize) {
    let mut replay = Replay::new(Box::new(Cursor::new(DEMO)), "demo").unwrap();
    let mut left = n;
    while left > 0
        && let Some(record) = replay.record().unwrap()
    {
        match record {
            Record::Snapshot(snapshot) => {
                app.take(Update::Snapshot(snapshot));
                left -= 1;
            }
            Record::Event(event) => app.take(Update::Event(event)),
            Record::End(_) => {}
        }
    }
    assert_eq!(left, 0, "the recording is shorter");
}

/// A guest on which nothing has happened.
pub(super) fn empty(app: &mut App) {
    for second in 10..13 {
        let mut snapshot = Snapshot::blank(second);
        snapshot.findings = Some(Vec::new());
        app.take(Update::Snapshot(Box::new(snapshot)));
    }
}

/// A guest with one connection of which all is known, and things with long and wide names.
pub(super) fn one(app: &mut App) {
    for second in 10..16_u64 {
        let mut snapshot = Snapshot::blank(second);
        let host = &mut snapshot.host;
        host.hostname = "a-host-with-a-name-that-is-as-long-as-host-names-may-get-and-then-some".to_owned();
        let mut connection = Connection::blank(7, 5000);
        connection.comm = Some("日本語のプロセス名🚀".to_owned());
        connection.pid = Some(4_194_304);
        connection.age_ns = Some(second * 86_400_000_000_000);
        connection.tx.bytes = Some(second * second * 100_000);
        connection.rx.bytes = Some(second * 5_000);
        connection.tx.stalls = Some(second);
        connection.tx.stalled_for_ns = Some((second - 9) * 1_500_000_000);
        connection.rings.outgoing.used_bytes = Some(((second - 8) * 3_500) as u32);
        connection.rings.incoming.used_bytes = Some(((16 - second) * 2_000) as u32);
        connection.latency.connect_ns = Some(3_200_000);
        connection.latency.offer_to_probe_ns = Some(1_000_000);
        connection.latency.lookup_ns = Some(2_500);
        connection.latency.ring_alloc_ns = Some(300_000);
        connection.latency.host_open_ns = Some(1_500_000);
        connection.latency.other_open_ns = Some(50_000);
        connection.latency.first_byte_ns = Some(12_000_000);
        let totals = &mut snapshot.totals;
        totals.traffic.tx_bytes = connection.tx.bytes;
        totals.traffic.rx_bytes = connection.rx.bytes;
        totals.live_connections = Some(1);
        totals.ring_memory_bytes = Some(65_536);
        snapshot.opens.to_host.ok = Some(1);
        snapshot.connections = vec![connection];
        snapshot.listeners = vec![Listener {
            port: u32::MAX - 1,
            service_guid: "fffffffe-facb-11e6-bd58-64006a7986d3".to_owned(),
            pid: Some(1),
            comm: Some("wörker/0:1-events_unbound".to_owned()),
            fd: Some(3),
            backlog: Some(128),
            max_backlog: Some(128),
            peak_backlog: Some(129),
            accepted: Some(123_456_789),
            drops: ListenerDrops { backlog_full: Some(3), never_accepted: Some(0) },
        }];
        snapshot.opens.from_host.backlog_full = Some(3);
        app.take(Update::Snapshot(Box::new(snapshot)));
    }
    app.take(Update::Event(Box::new(LifecycleEvent {
        time: Some("2026-01-02T03:04:05.000123Z".to_owned()),
        event: EventKind::Opened,
        id: Some("7-1".to_owned()),
        direction: Some(Direction::ToHost),
        remote_port: Some(5000),
        duration_ns: Some(3_200_000),
        lost: None,
        ..LifecycleEvent::lost(0)
    })));
    app.take(Update::Event(Box::new(LifecycleEvent::lost(12))));
}

/// A guest of which next to nothing could be measured, watched by a tool that has missed something.
pub(super) fn unknown(app: &mut App) {
    for second in 10..12 {
        let mut snapshot = Snapshot::blank(second);
        snapshot.interval_ns = None;
        snapshot.observed_ns = None;
        snapshot.host.vmbus_version = None;
        let opens = &mut snapshot.opens;
        opens.from_host.ok = None;
        opens.from_host.backlog_full = None;
        opens.to_host.timed_out = None;
        snapshot.totals.traffic = crate::model::Traffic::default();
        snapshot.totals.live_connections = None;
        snapshot.totals.ring_memory_bytes = None;
        snapshot.totals.relids_used = None;
        snapshot.tool.cpu_ns = None;
        snapshot.latency.insert("connect".to_owned(), None);
        snapshot.lookup = Some(Lookup {
            unread: Some("vsock_bind_table is not in /proc/kallsyms with its address".to_owned()),
            ..Lookup::default()
        });
        let mut connection = Connection::blank(3, 22);
        connection.direction = None;
        connection.local_port = None;
        connection.remote_port = None;
        connection.state = None;
        connection.pid = None;
        connection.comm = None;
        connection.age_ns = None;
        connection.known_since_start = false;
        connection.tx = Sent {
            bytes: None,
            packets: None,
            calls: None,
            short_writes: None,
            eagain: None,
            failed_writes: None,
            stalls: None,
            stall_ns: None,
            stalled_for_ns: None,
            last_error: None,
        };
        connection.rx.bytes = None;
        connection.rings.outgoing.used_bytes = None;
        connection.rings.outgoing.occupancy = None;
        connection.rings.incoming.size_bytes = None;
        connection.callbacks.count = None;
        snapshot.connections = vec![connection];
        snapshot.listeners = vec![Listener {
            port: 9,
            service_guid: String::new(),
            pid: None,
            comm: None,
            fd: None,
            backlog: None,
            max_backlog: None,
            peak_backlog: None,
            accepted: None,
            drops: ListenerDrops { backlog_full: None, never_accepted: None },
        }];
        snapshot.accounting.hooks.insert(
            "enqueue".to_owned(),
            crate::model::Hook {
                seen: 1000,
                recorded: 960,
                filtered: 10,
                ring_full: 5,
                map_full: 0,
                faulted: 25,
                unpaired: 0,
                in_flight: None,
                missed: Some(7),
            },
        );
        snapshot.accounting.reconciled = false;
        app.take(Update::Snapshot(Box::new(snapshot)));
    }
}

/// As many connections as there can be: every state, many processes, some stalled.
pub(super) fn crowd(app: &mut App) {
    let mut judge = Judge::new(Limits::default());
    for second in 100..103_u64 {
        let mut snapshot = crowded(second);
        snapshot.findings = Some(judge.judge(&snapshot));
        app.take(Update::Snapshot(Box::new(snapshot)));
    }
}

/// One of its Snapshots.
pub(super) fn crowded(second: u64) -> Snapshot {
    let mut snapshot = Snapshot::blank(second);
    let mut sent = 0;
    snapshot.connections = (0..2048_u32)
        .map(|relid| {
            let n = u64::from(relid);
            let mut c = Connection::blank(relid, 5000 + relid % 7);
            c.comm = Some(format!("worker-{}", relid % 50));
            c.pid = Some(1000 + relid % 50);
            c.state = Some(match relid % 100 {
                0 => State::Closing,
                1 => State::Opening,
                2 => State::Rescinded,
                _ => State::Established,
            });
            if relid.is_multiple_of(3) {
                c.direction = Some(Direction::FromHost);
            }
            c.age_ns = Some(second * 1_000_000_000 + n * 1_000_000);
            c.tx.bytes = Some(second * (n * 7919 % 10_007) * 10);
            c.rx.bytes = Some(second * (n * 104_729 % 9_973) * 3);
            sent += c.tx.bytes.unwrap_or(0);
            c.tx.stalls = Some(n % 11);
            c.tx.stalled_for_ns = Some(if relid % 500 == 7 { n * 1_000_000 } else { 0 });
            c.rings.outgoing.used_bytes = Some(relid * 37 % 24_504);
            c.latency.connect_ns = Some(100_000 + n * 1_000);
            c
        })
        .collect();
    // A long bucket of bound sockets, and two services with all that the host has opened.
    let bound: Vec<_> = (0..251).map(|n| Some(if n == 7 { 600 } else { n % 4 })).collect();
    let connected: Vec<_> =
        (0..251).map(|n| Some(if n == 9 { 1_000 } else { u64::from(n < 40) * 9 })).collect();
    snapshot.lookup = Some(Lookup {
        bound_lookups: Some(second * 40),
        bound: LookupTable::of(&bound),
        connected: LookupTable::of(&connected),
        ..Lookup::blank()
    });
    snapshot.totals.traffic.tx_bytes = Some(sent);
    snapshot.totals.live_connections = Some(2048);
    snapshot.totals.relids_used = Some(2048);
    snapshot.totals.ring_memory_bytes = Some(2048 * 65_536);
    snapshot
}
