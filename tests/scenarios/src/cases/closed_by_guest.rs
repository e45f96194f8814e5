//! The guest closes first.

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("closed_by_guest", "the guest closes, with a FIN of its own and without", run);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    for round in 0..10 {
        let stream = traffic::connect(5000)?;
        traffic::echo(&stream, 1000 + round)?;
        if round % 2 == 0 {
            traffic::close(stream)?;
        } else {
            drop(stream);
        }
    }
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    compare::expect(&snapshot, "closes/graceful", 10)?;
    top.stop()
}
