//! Scrapes of a guest with many connections.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::metrics;
use crate::runner::Scenario;
use crate::serve::{self, ADDRESS, Series, Serve, get};
use crate::steps::LIMIT;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "serve_many",
        "2,000 connections: the same series, a scrape no larger, every figure exact",
        run,
    )
};

/// Close to the 2,048 there can be.
const MANY: usize = 2000;

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let serve = Serve::start(&[])?;
    let first = traffic::connect(5000)?;
    traffic::echo(&first, 100)?;
    let few = agrees(1)?;
    let small = get(ADDRESS, "/metrics", "")?.bytes;
    let streams = traffic::connect_all(5000, MANY - 1)?;
    for stream in streams.iter().step_by(10) {
        traffic::echo(stream, 1000)?;
    }
    let many = agrees(MANY)?;
    let large = get(ADDRESS, "/metrics", "")?.bytes;
    let (before, after) = (names(&few), names(&many));
    let differ: Vec<_> = before.symmetric_difference(&after).collect();
    ensure!(differ.is_empty(), "the series differ: {differ:?}");
    // Numbers have more digits.
    ensure!(large < small + small / 10, "a scrape had {small} bytes, now {large}");
    let live = serve::sum(&many, "hvsock_connections", &[("port", "5000")])?;
    ensure!(live.to_bits() == (MANY as f64).to_bits(), "live: {live}");
    let whole = get(ADDRESS, "/snapshot", "")?;
    ensure!(whole.status == 200 && whole.bytes > 1000 * MANY, "{}", whole.head);
    drop((first, streams));
    agrees(0)?;
    serve.stop()
}

/// What there is, but for findings: so many connections are one.
fn names(series: &[Series]) -> BTreeSet<String> {
    let lasting = series.iter().filter(|s| s.name != "hvsock_findings");
    lasting.map(|s| format!("{} {:?}", s.name, s.labels)).collect()
}

/// All is as the ledger says, and the tables that sockets are looked up in, which are read every 2 s at most, have all `connections`.
fn agrees(connections: usize) -> Result<Vec<Series>> {
    serve::until(3 * LIMIT, "what the ledger says", || {
        let series = serve::scrape()?;
        metrics::exact(&series, &host::ledger()?)?;
        let connected = serve::sum(&series, "hvsock_lookup_sockets", &[("table", "connected")])?;
        ensure!(connected.to_bits() == (connections as f64).to_bits(), "{connected} sockets in the table");
        Ok(series)
    })
}
