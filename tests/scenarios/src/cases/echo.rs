//! The guest connects and echoes.

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("echo", "three connections to the host, 5,000 bytes there and back on each", run);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, 5000)?;
    }
    steps::exact(&top)?;
    traffic::echo(&streams[1], 1)?;
    steps::exact(&top)?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.finds_only(&[])?;
    top.stop()
}
