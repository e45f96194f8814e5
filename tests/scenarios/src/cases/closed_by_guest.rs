//! The guest closes first.

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("closed_by_guest", "the guest closes, at once and after a half-close", run);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let top = Top::start()?;
    for bytes in 1000..1010 {
        let stream = traffic::connect(5000)?;
        traffic::echo(&stream, bytes)?;
        drop(stream);
    }
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    compare::expect(&snapshot, "closes/graceful", 10)?;
    // Half-closed first: the host may take the channel back before or after the guest's close.
    for bytes in 2000..2010 {
        let stream = traffic::connect(5000)?;
        traffic::echo(&stream, bytes)?;
        traffic::close(stream)?;
    }
    steps::all_gone()?;
    let snapshot = steps::exact(&top)?;
    let (graceful, by_host) = (snapshot.number("closes/graceful")?, snapshot.number("closes/by_host")?);
    ensure!(
        graceful + by_host == 20,
        "closes: expected 20 graceful or by the host, got {graceful} and {by_host}"
    );
    top.finds_only(&[])?;
    top.stop()
}
