//! The host closes first.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "closed_by_host",
    "the host closes: in order, with a FIN, and at once, by taking the channel",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    host::host("mode 5001 echo")?;
    let top = Top::start()?;

    let polite = traffic::connect_all(5000, 5)?;
    for stream in &polite {
        traffic::echo(stream, 3000)?;
    }
    host::host("fin 5000")?;
    for stream in polite {
        let rest = stream.drain().context("the host's FIN does not arrive")?;
        ensure!(rest == 0, "{rest} bytes more than were echoed");
        drop(stream);
    }
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    compare::expect(&snapshot, "closes/graceful", 5)?;

    let rude = traffic::connect_all(5001, 5)?;
    for stream in &rude {
        traffic::echo(stream, 3000)?;
    }
    host::host("rescind 5001")?;
    for stream in rude {
        ensure!(stream.readable(Duration::from_secs(5))?, "the guest does not notice the rescind");
        drop(stream);
    }
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    compare::expect(&snapshot, "closes/by_host", 5)?;
    top.stop()
}
