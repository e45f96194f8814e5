//! Two hvsock-top at once.

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "two_tops",
    "two at once see the same, and one that ends takes nothing from the other",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let first = Top::start()?;
    let second = Top::start()?;
    let mut streams = traffic::connect_all(5000, 4)?;
    for stream in &streams {
        traffic::echo(stream, 2000)?;
    }
    steps::exact(&first)?;
    steps::exact(&second)?;
    first.stop()?;
    for stream in &streams {
        traffic::echo(stream, 300)?;
    }
    steps::exact(&second)?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    steps::exact(&second)?;
    second.stop()
}
