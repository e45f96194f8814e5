//! The real Prometheus.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::Ledger;
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::metrics;
use crate::runner::Scenario;
use crate::serve::{self, ADDRESS, Serve, get};
use crate::server::Server;
use crate::snapshot::Snapshot;
use crate::steps::{self, LIMIT};

pub(super) const SCENARIO: Scenario = Scenario {
    prometheus: true,
    timeout: Duration::from_mins(5),
    ..Scenario::new(
        "prometheus",
        "Debian's Prometheus scrapes, and its queries return the ledger's numbers; our rules and every panel work in it",
        run,
    )
};

const DASHBOARD: &str = include_str!("../../../../contrib/grafana/hvsock-top.json");

/// Every metric of ours, as a query.
const ALL: &str = "{__name__=~\"hvsock_.+\"}";

fn run() -> Result<()> {
    for command in ["mode 5000 echo", "mode 5010 sink", "mode 5011 source 200000", "mode 5012 refuse"] {
        host::host(command)?;
    }
    let serve = Serve::start(&[])?;
    let server = Server::start("classic", &[])?;
    let open = some_traffic()?;
    agrees(&server)?;
    serve::until(LIMIT, "the same by aggregation", || totals(&server))?;
    // A rate needs a series that was there before: these are not the first drops at this port.
    host::host("connect 6100 echo 0 2")?;
    settled()?;
    rules(&server)?;
    panels(&server)?;
    drop(open);
    steps::all_gone()?;
    // A second sight of the same sockets, after all of them are closed.
    agrees(&server)?;
    server.stop()?;

    let server = Server::start("native", &["--enable-feature=native-histograms"])?;
    let open = some_traffic()?;
    agrees(&server)?;
    native(&server)?;
    drop(open);
    steps::all_gone()?;
    agrees(&server)?;
    server.stop()?;
    serve.stop()
}

/// Opens, refusals, drops and bytes at several ports, both ways. Some of it stays open.
fn some_traffic() -> Result<(Listener, Vec<Stream>)> {
    let listener = Listener::bind(6100, 1).context("cannot listen")?;
    host::host("connect 6100 echo 0 3")?;
    host::host("connect 6101 echo 0 2")?;
    let mut streams = traffic::connect_all(5000, 4)?;
    for (n, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 1000 + 777 * n)?;
    }
    streams.drain(..2).try_for_each(traffic::close)?;
    let sink = traffic::connect(5010)?;
    traffic::push(&sink, 300_000, 10_000)?;
    let source = traffic::connect(5011)?;
    ensure!(source.drain()? == 200_000, "the source gave less");
    streams.extend([sink, source]);
    ensure!(Stream::connect(5012).is_err(), "the host does not refuse");
    settled()?;
    Ok((listener, streams))
}

fn settled() -> Result<()> {
    let settled = |l: &Ledger| l.conns.iter().all(|c| c.opened_ns > 0 || !c.live());
    steps::wait_ledger("every offer is opened or taken back", settled).map(drop)
}

/// Every counter of the ledger, as the server has it.
fn agrees(server: &Server) -> Result<()> {
    serve::until(LIMIT, "what the ledger says", || metrics::exact(&server.query(ALL)?, &host::ledger()?))
}

/// The same by aggregation in PromQL.
fn totals(server: &Server) -> Result<()> {
    let ledger = host::ledger()?;
    let lost = ledger.conns.iter().filter(|c| c.opened_ns == 0).count();
    for (query, expected) in [
        ("sum(hvsock_transmit_bytes_total)", ledger.conns.iter().map(|c| c.rx_bytes).sum::<u64>()),
        ("sum(hvsock_receive_bytes_total)", ledger.conns.iter().map(|c| c.tx_bytes).sum()),
        ("sum(hvsock_opens_total{result!=\"ok\"})", lost as u64),
        (
            "sum(hvsock_connections)",
            ledger.conns.iter().filter(|c| c.opened_ns > 0 && c.live()).count() as u64,
        ),
        ("sum(hvsock_connects_failed_total{port=\"5012\"})", 1),
        ("count(hvsock_blind == 1) or vector(0)", 0),
    ] {
        let got = server.query(query)?;
        ensure!(
            got.len() == 1 && got[0].value.to_bits() == (expected as f64).to_bits(),
            "{query}: expected {expected}, got {got:?}"
        );
    }
    Ok(())
}

/// The rules that we ship are evaluated, and those of what has happened here give something.
fn rules(server: &Server) -> Result<()> {
    serve::until(LIMIT, "all rules are evaluated", || {
        let rules = server.api("rules")?;
        let groups = rules["data"]["groups"].as_array().context("no groups")?;
        let all: Vec<&Value> = groups.iter().filter_map(|g| g["rules"].as_array()).flatten().collect();
        ensure!(all.len() > 25, "only {} rules", all.len());
        for rule in &all {
            ensure!(rule["health"] == "ok", "{rule}");
        }
        let firing = |rule: &&&Value| rule["state"] == "firing" && rule["name"] == "HvsockBacklogOverflow";
        ensure!(all.iter().any(|rule| firing(&rule)), "the overflow of the backlog raises no alert");
        ensure!(!server.query("instance:hvsock_opens:rate5m")?.is_empty(), "no recorded series");
        Ok(())
    })
}

/// Every query of the dashboard gives data.
fn panels(server: &Server) -> Result<()> {
    let dashboard: Value = serde_json::from_str(DASHBOARD).context("the dashboard is not JSON")?;
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let mut queries = 0;
    for panel in panels.iter().filter(|p| p["type"] != "row") {
        for target in panel["targets"].as_array().context("no targets")? {
            let query = target["expr"].as_str().context("no query")?;
            let query =
                query.replace("$job", ".+").replace("$instance", ".+").replace("$__rate_interval", "1m");
            ensure!(!query.contains('$'), "a variable that nobody knows: {query}");
            // After a scrape that an emulated CPU was too slow for there is nothing until the next.
            serve::until(LIMIT, &format!("panel {}: data for {query}", panel["title"]), || {
                ensure!(!server.query(&query)?.is_empty(), "there is none");
                Ok(())
            })?;
            queries += 1;
        }
    }
    ensure!(queries > 60, "only {queries} queries");
    Ok(())
}

/// Native histograms have all values, and their quantiles are those of the Snapshot, within the error that is promised.
fn native(server: &Server) -> Result<()> {
    // Nothing happens any more: what the server scrapes from now on is what a Snapshot says.
    thread::sleep(Duration::from_secs(5));
    let snapshot = Snapshot::parse(&get(ADDRESS, "/snapshot", "")?.body)?;
    let mut compared = 0;
    for (name, histogram) in snapshot.at("latency").and_then(Value::as_object).context("no latencies")? {
        let Some(count) = histogram["count"].as_u64().filter(|n| *n > 0) else { continue };
        if name.starts_with("callback") {
            // Our own connections go on.
            continue;
        }
        let metric = format!("hvsock_{name}_duration_seconds");
        let got = server.query(&metric)?;
        ensure!(
            got.len() == 1 && got[0].value.to_bits() == (count as f64).to_bits(),
            "{metric}: expected {count}, got {got:?}"
        );
        let [got] = &server.query(&format!("histogram_quantile(0.5, {metric})"))?[..] else {
            anyhow::bail!("{metric} has no median")
        };
        // Both name a bucket that holds the median; the server interpolates within it where there is more than one value.
        let median = histogram["p50_ns"].as_f64().context("no median")? / 1e9;
        ensure!(
            (got.value / median - 1.0).abs() < 0.16,
            "{metric}: median {}, by the Snapshot {median}",
            got.value
        );
        compared += 1;
    }
    ensure!(compared > 6, "only {compared} histograms have values");
    let classic = server.query("hvsock_connect_duration_seconds_bucket")?;
    ensure!(classic.is_empty(), "classic buckets beside native ones");
    Ok(())
}
