//! Many at once.

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::histograms;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    ..Scenario::new("two_hundred", "200 connections at once, each with its own traffic", run)
};

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    let mut streams = traffic::connect_all(5000, 200)?;
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 20_000 + 37 * i)?;
    }
    // Enough to tell the 99th percentile from its neighbours.
    steps::exact(&top)?.check(histograms::of_connections)?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.stop()
}
