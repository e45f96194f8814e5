//! Every rule: silent on a healthy guest, heard when its cause is there, and silent again when its window has passed.

use std::path::Path;

use super::RULES;
use crate::{
    findings::{Judge, Limits},
    model::{
        Backend, Connection, Direction, Finding, Histogram, Hook, Listener, ListenerDrops, Port, Probe,
        ProbeState, Severity, Snapshot, State, Traffic,
    },
};

const SECOND: u64 = 1_000_000_000;

/// What is found after `change` has been made to a guest on which nothing has happened.
fn found_after(change: impl Fn(&mut Snapshot)) -> Vec<Finding> {
    let mut judge = Judge::new(Limits::default());
    let mut calm = Snapshot::blank(100);
    calm.latency.insert("accept_wait".to_owned(), Some(Histogram::default()));
    assert_eq!(judge.judge(&calm), [], "a calm guest");
    let mut last = Vec::new();
    // What was seen to last must last as long as the largest threshold that is looked at here.
    for second in 101..=106 {
        let mut now = Snapshot { uptime_ns: second * SECOND, ..calm.clone() };
        change(&mut now);
        last = judge.judge(&now);
    }
    last
}

/// The one finding, which must be of this rule.
fn one(rule: &str, change: impl Fn(&mut Snapshot)) -> Finding {
    let found = found_after(change);
    assert_eq!(found.iter().map(|f| f.rule.as_str()).collect::<Vec<_>>(), [rule]);
    assert!(!found[0].summary.is_empty() && !found[0].remedy.is_empty());
    found.into_iter().next().unwrap()
}

fn port(number: u32, direction: Direction, offers: &[(&str, u64)], connects: &[(&str, u64)]) -> Port {
    let of = |list: &[(&str, u64)]| list.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
    Port {
        port: number,
        direction,
        offers: of(offers),
        connects: of(connects),
        live: 0,
        closed: 0,
        accepted: None,
        never_accepted: None,
        traffic: Traffic::blank(),
    }
}

fn listener(drops: u64) -> Listener {
    Listener {
        port: 5000,
        service_guid: String::new(),
        pid: Some(7),
        comm: Some("slow".to_owned()),
        fd: Some(3),
        backlog: Some(5),
        max_backlog: Some(4),
        peak_backlog: Some(5),
        accepted: Some(0),
        drops: ListenerDrops { backlog_full: Some(drops), never_accepted: Some(0) },
    }
}

fn connection(change: impl Fn(&mut Connection)) -> impl Fn(&mut Snapshot) {
    move |snapshot| {
        let mut connection = Connection::blank(7, 5000);
        change(&mut connection);
        snapshot.connections.push(connection);
    }
}

#[test]
fn a_full_backlog() {
    let finding = one("backlog_full", |s| s.listeners.push(listener(7)));
    assert_eq!((finding.port, finding.severity), (Some(5000), Severity::Critical));
    assert_eq!(finding.evidence["drops"], 7u64.into());
    assert_eq!(finding.evidence["max_backlog"], 4u64.into());
    assert!(found_after(|s| s.listeners.push(listener(0))).is_empty());
}

#[test]
fn a_window_forgets() {
    let mut judge = Judge::new(Limits::default());
    judge.judge(&Snapshot::blank(100));
    let mut found = Vec::new();
    for second in 101..=125 {
        let mut now = Snapshot::blank(second);
        now.listeners.push(listener(7));
        found.push(judge.judge(&now).len());
    }
    assert_eq!(found[0], 1, "at once");
    assert_eq!(found[3], 1, "for half a window at least");
    assert_eq!(found[10..], [0; 15], "not longer than the window");
}

#[test]
fn a_recording_that_begins_with_large_sums_finds_nothing_new() {
    let mut judge = Judge::new(Limits::default());
    let mut first = Snapshot::blank(100);
    first.listeners.push(listener(7));
    first.closes.timed_out = Some(3);
    assert_eq!(judge.judge(&first), []);
    // Another tool's Snapshot: its sums have nothing to do with these.
    let mut other = Snapshot::blank(101);
    other.tool.pid = 2;
    other.closes.timed_out = Some(9);
    assert_eq!(judge.judge(&other), []);
}

#[test]
fn children_that_nobody_accepts() {
    let waiting = connection(|c| {
        c.direction = Some(Direction::FromHost);
        c.local_port = Some(5000);
        c.age_ns = Some(3 * SECOND);
    });
    let finding = one("accept_starved", &waiting);
    assert_eq!((finding.port, finding.connections.as_slice()), (Some(5000), &["7-1".to_owned()][..]));
    // Without the probe nobody would ever be seen to accept.
    assert!(
        found_after(|s| {
            waiting(s);
            s.latency.insert("accept_wait".to_owned(), None);
        })
        .is_empty()
    );
}

#[test]
fn connects_that_fail() {
    let to = |why: &'static str, n| {
        move |s: &mut Snapshot| s.ports.push(port(6000, Direction::ToHost, &[], &[(why, n)]))
    };
    assert_eq!(one("connect_timeouts", to("timed_out", 1)).port, Some(6000));
    let refused = |n| {
        move |s: &mut Snapshot| {
            s.totals.host_refusals = Some(n);
            to("refused", n)(s);
        }
    };
    assert_eq!(one("connect_refused", refused(5)).port, Some(6000));
    assert!(found_after(refused(4)).is_empty(), "not yet a storm");
    let from =
        |n| move |s: &mut Snapshot| s.ports.push(port(6000, Direction::FromHost, &[("no_listener", n)], &[]));
    assert_eq!(one("no_listener", from(5)).severity, Severity::Info);
    assert!(found_after(from(4)).is_empty());
    one("not_permitted", |s| s.totals.binds_not_permitted = Some(1));
}

#[test]
fn senders_that_wait() {
    let finding = one("send_stalled", connection(|c| c.tx.stalled_for_ns = Some(SECOND)));
    assert_eq!(finding.port, Some(5000));
    assert!(finding.remedy.contains("SO_SNDBUF before connect"));
    // Never very long at a time, but often: 3.6 of 6 seconds.
    let often = |stalls, ns| {
        connection(move |c| {
            c.tx.stalls = Some(stalls);
            c.tx.stall_ns = Some(ns);
        })
    };
    let finding = one("send_stalled", often(100, SECOND * 36 / 10));
    assert!(finding.summary.contains("60 %"), "{}", finding.summary);
    assert!(found_after(often(10, SECOND)).is_empty(), "not often");
    assert!(found_after(often(10_000, SECOND * 36 / 10)).is_empty(), "a bulk transfer");
}

#[test]
fn readers_that_do_not_read() {
    let unread = |bytes: u32| connection(move |c| c.rings.incoming.used_bytes = Some(bytes));
    assert_eq!(one("reader_slow", unread(100)).severity, Severity::Info);
    assert_eq!(one("reader_slow", unread(20_000)).severity, Severity::Warning);
    let reading = connection(|c| {
        c.rings.incoming.used_bytes = Some(100);
        c.rx.waiting_for_ns = Some(5);
    });
    assert!(found_after(reading).is_empty());
}

#[test]
fn idle_connections() {
    let mut limits = Limits::default();
    limits.set("idle_ms=3000").unwrap();
    limits.set("idle_connections=2").unwrap();
    let mut judge = Judge::new(limits);
    let mut found = Vec::new();
    for second in 0..5 {
        let mut now = Snapshot::blank(second);
        now.connections = (1..=3).map(|relid| Connection::blank(relid, 5000)).collect();
        // One of them does something.
        now.connections[0].tx.calls = Some(second);
        found = judge.judge(&now);
    }
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].evidence["connections"], 2u64.into());
    assert_eq!(found[0].evidence["ring_memory_bytes"], 131_072u64.into());
}

#[test]
fn ends_that_do_not_come() {
    let ending = |state: State, seconds: u64| {
        connection(move |c| {
            c.state = Some(state);
            c.ending_for_ns = Some(seconds * SECOND);
        })
    };
    one("closing_stuck", ending(State::Closing, 2));
    one("channels_leaked", ending(State::Closing, 10));
    one("sockets_abandoned", ending(State::Rescinded, 61));
    assert!(found_after(ending(State::Closing, 0)).is_empty());
    assert!(found_after(ending(State::Rescinded, 59)).is_empty());
    one("close_timeouts", |s| s.closes.timed_out = Some(1));
    one("teardown_failed", |s| s.totals.teardown_failures = Some(1));
}

#[test]
fn what_runs_short() {
    assert_eq!(one("relids_high", |s| s.totals.relids_used = Some(1536)).severity, Severity::Warning);
    assert_eq!(one("relids_high", |s| s.totals.relids_used = Some(2000)).severity, Severity::Critical);
    one("ring_memory", |s| s.opens.from_host.ring_enomem = Some(1));
    let finding = one("ring_memory", |s| {
        connection(|_| ())(s);
        s.memory.free_blocks = Some(vec![9999, 9999, 9999, 9999, 1, 1, 0]);
    });
    assert_eq!(finding.evidence["free_blocks"], 3u64.into());
    one("offers_queued", |s| {
        s.totals.offers_waiting = Some(2);
        s.totals.oldest_offer_ns = Some(SECOND);
    });
}

#[test]
fn a_slow_lookup() {
    let mut judge = Judge::new(Limits::default());
    let of = |second, count: u64| {
        let mut s = Snapshot::blank(second);
        for (name, ns) in [
            ("lookup", 200_000),
            ("offer_to_probe", 0),
            ("ring_alloc", 0),
            ("host_open", 0),
            ("other_open", 600_000),
        ] {
            let histogram =
                Histogram { count, sum_ns: count * ns, buckets: vec![(ns, count)], ..Histogram::default() };
            s.latency.insert(name.to_owned(), Some(histogram));
        }
        s
    };
    judge.judge(&of(1, 0));
    let found = judge.judge(&of(2, 10));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].evidence["percent_of_open"], 25.0.into());
    assert!(found[0].summary.contains("200 µs"), "{}", found[0].summary);
}

#[test]
fn trust() {
    one("lossy", |s| {
        s.accounting.reconciled = false;
        let hook = Hook {
            seen: 5,
            recorded: 3,
            filtered: 0,
            ring_full: 2,
            map_full: 0,
            faulted: 0,
            unpaired: 0,
            in_flight: None,
            missed: Some(1),
        };
        s.accounting.hooks.insert("freed".to_owned(), hook);
    });
    let blind = one("blind", |s| {
        s.probes.push(Probe {
            event: "open".to_owned(),
            symbol: None,
            backend: Backend::None,
            state: ProbeState::Failed,
            required: true,
            reason: Some("no such function".to_owned()),
        });
    });
    assert!(blind.summary.contains("no such function"));
    one("host_nonsense", |s| s.totals.traffic.ring_invalid = Some(1));
}

#[test]
fn every_rule_has_its_page_and_its_place() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/findings");
    let index = std::fs::read_to_string(folder.join("README.md")).unwrap();
    for rule in RULES {
        let page = folder.join(format!("{}.md", rule.name));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|_| panic!("{} is missing", page.display()));
        for part in ["## What it means", "## What to do", "## How it is found"] {
            assert!(text.contains(part), "{}: no {part}", rule.name);
        }
        assert!(index.contains(&format!("({}.md)", rule.name)), "the index does not name {}", rule.name);
    }
    assert!(RULES.is_sorted_by(|a, b| a.name < b.name), "by name, each once");
}
