//! Metrics as a whole, made of a Snapshot of the demo.
#![expect(clippy::float_cmp, reason = "what is compared has come the same way, and must be exactly the same")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{
    catalog,
    family::{Family, Kind, Value},
    openmetrics,
    ports::PortTable,
    protobuf, text,
};
use crate::model::{
    Direction, Histogram, Listener, Lookup, LookupTable, Port, ProbeState, Searched, Searches, Snapshot,
};

/// Taken while `guest demo` ran; tests/data/make.sh.
pub(super) fn demo() -> Snapshot {
    serde_json::from_str(include_str!("../../tests/data/demo-snapshot.json")).unwrap()
}

fn families(snapshot: &Snapshot) -> Vec<Family> {
    catalog::families(snapshot, &PortTable::new(64).fold(snapshot))
}

/// Series and values of a text format.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let split = |line: &str| {
        let (series, value) = line.rsplit_once(' ').unwrap();
        (series.to_owned(), value.parse().unwrap())
    };
    lines.map(split).collect()
}

#[test]
fn both_texts_tell_the_same() {
    let families: Arc<[Family]> = families(&demo()).into();
    let plain = series(&text::encode(&families));
    let open = openmetrics::encode(Arc::clone(&families)).unwrap();
    assert!(open.ends_with("\n# EOF\n"));
    assert_eq!(plain, series(&open));
    assert!(plain.len() > 700, "{}", plain.len());
    assert_eq!(
        plain["hvsock_opens_total{direction=\"from_host\",port=\"9090\",result=\"backlog_full\"}"],
        4.0
    );
    assert_eq!(plain["hvsock_transmit_bytes_total{direction=\"to_host\",port=\"5000\"}"], demo_bytes(5000));
    assert_eq!(plain["hvsock_accounting_reconciled"], 1.0);
    let (count, below) = (
        plain["hvsock_connect_duration_seconds_count"],
        plain["hvsock_connect_duration_seconds_bucket{le=\"+Inf\"}"],
    );
    assert!(count > 0.0 && count.to_bits() == below.to_bits(), "{count} {below}");
    for suffix in ["# UNIT hvsock_transmit_bytes bytes\n", "# TYPE hvsock_build info\n"] {
        assert!(open.contains(suffix), "{suffix}");
    }
}

fn demo_bytes(port: u32) -> f64 {
    let bytes = demo().ports.iter().find(|p| p.port == port).unwrap().traffic.tx_bytes.unwrap();
    bytes as f64
}

#[test]
fn the_protobuf_tells_the_same() {
    let families = families(&demo());
    let mut expected: BTreeMap<String, f64> =
        series(&text::encode(&families)).into_iter().filter(|(name, _)| !name.contains("+Inf")).collect();
    for (name, value) in protobuf::decode(&protobuf::encode(&families)) {
        assert_eq!(expected.remove(&name), Some(value), "{name}");
    }
    assert!(expected.is_empty(), "{expected:?}");
}

#[test]
fn labels_are_escaped() {
    let mut snapshot = demo();
    snapshot.host.hostname = "a\"b\\c\nd".to_owned();
    let families: Arc<[Family]> = families(&snapshot).into();
    for text in [text::encode(&families), openmetrics::encode(families).unwrap()] {
        assert!(text.contains(r#"hostname="a\"b\\c\nd""#), "{text}");
    }
}

#[test]
fn connections_make_no_difference() {
    let mut snapshot = demo();
    let before = text::encode(&families(&snapshot));
    let one = snapshot.connections[0].clone();
    snapshot.connections = vec![one; 2000];
    assert_eq!(text::encode(&families(&snapshot)), before);
    snapshot.connections.clear();
    assert_eq!(text::encode(&families(&snapshot)), before);
}

#[test]
fn what_is_unknown_is_absent() {
    let mut snapshot = demo();
    snapshot.opens.from_host.backlog_full = None;
    snapshot.opens.to_host.timed_out = None;
    snapshot.closes.graceful = None;
    snapshot.totals.relids_used = None;
    snapshot.totals.offers_waiting = None;
    snapshot.memory.free_blocks = None;
    snapshot.tool.cpu_ns = None;
    snapshot.latency.insert("connect".to_owned(), None);
    for port in &mut snapshot.ports {
        port.traffic.stall_ns = None;
    }
    let before = series(&text::encode(&families(&demo())));
    let after = series(&text::encode(&families(&snapshot)));
    let gone: BTreeSet<&str> = before
        .keys()
        .filter(|k| !after.contains_key(*k))
        .map(|k| k.split(['{', ' ']).next().unwrap())
        .collect();
    let wanted = [
        "hvsock_closes_total",
        "hvsock_connect_duration_seconds_bucket",
        "hvsock_connect_duration_seconds_count",
        "hvsock_connect_duration_seconds_sum",
        "hvsock_connects_failed_total",
        "hvsock_memory_free_blocks",
        "hvsock_offer_oldest_age_seconds",
        "hvsock_offers_waiting",
        "hvsock_opens_total",
        "hvsock_relids_used",
        "hvsock_send_stall_seconds_total",
        "hvsock_tool_cpu_seconds_total",
    ];
    assert_eq!(gone.into_iter().collect::<Vec<_>>(), wanted);
    assert!(after.keys().all(|k| !k.contains("result=\"backlog_full\"")));
    assert!(after.keys().any(|k| k.starts_with("hvsock_closes_total")), "the others stay");
}

/// A Snapshot with these ports, each with so many bytes sent.
fn with_ports(ports: &[(u32, u64)]) -> Snapshot {
    let mut snapshot = demo();
    let template = snapshot.ports[0].clone();
    let port = |&(port, bytes): &(u32, u64)| {
        let mut one = Port { port, direction: Direction::ToHost, live: 1, ..template.clone() };
        one.traffic.tx_bytes = Some(bytes);
        one
    };
    snapshot.ports = ports.iter().map(port).collect();
    snapshot.listeners.clear();
    snapshot
}

fn told(table: &mut PortTable, snapshot: &Snapshot) -> Vec<(String, u64, u64)> {
    let rows = table.fold(snapshot).ports;
    rows.iter().map(|r| (r.port.to_string(), r.sum.traffic.tx_bytes.unwrap(), r.sum.live)).collect()
}

#[test]
fn ports_beyond_the_limit_share_a_series_that_never_goes_back() {
    let mut table = PortTable::new(2);
    let row = |port: &str, bytes, live| (port.to_owned(), bytes, live);
    assert_eq!(told(&mut table, &with_ports(&[(7, 10)])), [row("7", 10, 1)]);
    // 5 comes first by number, yet 7 and 5 were seen before 3.
    assert_eq!(told(&mut table, &with_ports(&[(5, 1), (7, 11)])), [row("5", 1, 1), row("7", 11, 1)]);
    let all = with_ports(&[(3, 100), (4, 200), (5, 2), (7, 12)]);
    assert_eq!(told(&mut table, &all), [row("5", 2, 1), row("7", 12, 1), row("other", 300, 2)]);
    // A port that is not told any more keeps what it had carried.
    let fewer = with_ports(&[(4, 250), (7, 12)]);
    assert_eq!(told(&mut table, &fewer), [row("5", 2, 0), row("7", 12, 1), row("other", 350, 1)]);
}

#[test]
fn listeners_beyond_the_limit_share_a_series() {
    let mut snapshot = demo();
    let third = Listener { port: 9091, ..snapshot.listeners[1].clone() };
    snapshot.listeners.push(third);
    let rows = PortTable::new(1).fold(&snapshot).listeners;
    let [first, other] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((&*first.port, &*other.port), ("8080", "other"));
    let sum: u64 = snapshot.listeners[1..].iter().filter_map(|l| l.drops.backlog_full).sum();
    assert_eq!((other.backlog_full, other.peak_backlog), (Some(sum), None));
    assert_eq!(sum, 8);
}

#[test]
fn nothing_is_lost_with_one_port() {
    let sum = |limit| {
        let families = catalog::families(&demo(), &PortTable::new(limit).fold(&demo()));
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for family in families.iter().filter(|f| f.kind == Kind::Counter) {
            for sample in &family.samples {
                let Value::Whole(value) = sample.value else { continue };
                let other = |l: &&super::family::Label| l.0 != "port";
                let labels: Vec<_> = sample.labels.iter().filter(other).collect();
                *sums.entry(format!("{} {labels:?}", family.series_name())).or_insert(0) += value;
            }
        }
        sums
    };
    assert_eq!(sum(64), sum(1));
    assert_eq!(sum(64), sum(0));
}

#[test]
fn names_follow_the_conventions() {
    let mut seen = BTreeSet::new();
    for family in families(&demo()) {
        let name = family.series_name();
        // OpenMetrics calls a family without these.
        let short = name.trim_end_matches("_total").trim_end_matches("_info");
        assert!(seen.insert(short.to_owned()), "{name} is there twice");
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'), "{name}");
        assert!(!family.help.is_empty() && family.help.ends_with('.'), "{name}: {}", family.help);
        assert_eq!(name.ends_with("_total"), family.kind == Kind::Counter, "{name}");
        let mut series = BTreeSet::new();
        for sample in &family.samples {
            assert!(
                series.insert(format!("{:?}", sample.labels)),
                "{name} {:?} is there twice",
                sample.labels
            );
            let pid = sample.labels.iter().any(|(label, _)| ["pid", "comm", "id", "relid"].contains(label));
            assert!(!pid, "{name} is by process or connection");
            let distribution = matches!(sample.value, Value::Distribution(_));
            assert_eq!(distribution, family.kind == Kind::Histogram, "{name}");
        }
    }
}

#[test]
fn the_documentation_has_every_metric_and_no_other() {
    let path = format!("{}/../docs/prometheus.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    // Rows of the table: | `name` | kind | labels | meaning |
    let rows = text.lines().filter(|line| line.starts_with("| `hvsock_"));
    let documented: BTreeSet<(String, String, String)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[1].trim_matches('`').to_owned(), cells[2].to_owned(), cells[3].replace('`', ""))
        })
        .collect();
    let mut snapshot = demo();
    snapshot.findings = Some(vec![finding()]);
    // The example is of vsock, which does not have it.
    snapshot.totals.sockets_not_permitted = Some(0);
    snapshot.lookup = Some(looked_up());
    let there: BTreeSet<(String, String, String)> = families(&snapshot)
        .iter()
        .map(|family| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Info => "info",
                Kind::Histogram => "histogram",
            };
            let sample = family.samples.first().unwrap_or_else(|| panic!("{family:?} has no sample"));
            let labels: Vec<&str> = sample.labels.iter().map(|l| l.0).collect();
            (family.series_name(), kind.to_owned(), labels.join(", "))
        })
        .collect();
    let missing: Vec<_> = there.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&there).collect();
    assert!(missing.is_empty() && gone.is_empty(), "not documented: {missing:#?}\nnot there: {gone:#?}");
}

/// What promtool checks, and people look at.
#[test]
fn the_example_is_what_is_served() {
    let path = format!("{}/tests/data/demo-metrics.txt", env!("CARGO_MANIFEST_DIR"));
    let text = text::encode(&families(&demo()));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "make {path} anew: BLESS=1 cargo test -p hvsock-top the_example");
}

/// The example is older than this part of the Snapshot.
fn looked_up() -> Lookup {
    let some = LookupTable::of(&[Some(2), Some(1)]);
    let walked = Searched { lookups: 1, nodes: Some(1) };
    let searches = Searches { bound: walked.clone(), connected: walked };
    Lookup { bound: some.clone(), connected: some, searches: Some(searches), ..Lookup::blank() }
}

pub(super) fn finding() -> crate::model::Finding {
    crate::model::Finding {
        rule: "send_stall".to_owned(),
        severity: crate::model::Severity::Warning,
        summary: String::new(),
        remedy: String::new(),
        port: Some(5020),
        connections: Vec::new(),
        evidence: BTreeMap::new(),
        thresholds: BTreeMap::new(),
    }
}

#[test]
fn an_empty_histogram_keeps_its_series() {
    let mut snapshot = demo();
    let names = |snapshot: &Snapshot| {
        let all = series(&text::encode(&families(snapshot)));
        all.into_keys().filter(|k| k.starts_with("hvsock_close_duration_seconds")).collect::<Vec<_>>()
    };
    let before = names(&snapshot);
    snapshot.latency.insert("close".to_owned(), Some(Histogram::default()));
    assert_eq!(before, names(&snapshot));
}

#[test]
fn a_probe_that_fails_is_told() {
    let mut snapshot = demo();
    let lost = &mut snapshot.probes[0];
    lost.state = ProbeState::Failed;
    lost.required = true;
    let event = lost.event.clone();
    let all = series(&text::encode(&families(&snapshot)));
    assert_eq!(all["hvsock_blind"], 1.0);
    let attached = all.iter().find(|(k, _)| k.contains(&format!("event=\"{event}\""))).unwrap();
    assert_eq!(*attached.1, 0.0);
    assert_eq!(series(&text::encode(&families(&demo())))["hvsock_blind"], 0.0);
}
