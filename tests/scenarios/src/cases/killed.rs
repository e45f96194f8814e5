//! hvsock-top is killed and started again.

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "killed",
    "killed with -9 under live connections; the next one starts afresh and is exact",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    let old = traffic::connect_all(5000, 3)?;
    for stream in &old {
        traffic::echo(stream, 4000)?;
    }
    steps::exact(&top)?;
    top.kill()?;

    let top = Top::start()?;
    old.into_iter().try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("the old connections go", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/tx_bytes", 0)
    })?;
    // New ones get the relids of the old, and none of their figures.
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, 50)?;
    }
    let ledger = host::ledger()?;
    let snapshot = top.wait("the new connections alone", |s| {
        compare::live(s, &ledger)?;
        compare::expect(s, "totals/tx_bytes", 150)?;
        compare::accounting(s)
    })?;
    for value in snapshot.connections()? {
        ensure!(number(value, "tx/bytes")? == 50, "figures of an older connection: {value}");
    }
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("all is gone", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/tx_bytes", 150)
    })?;
    top.stop()
}
