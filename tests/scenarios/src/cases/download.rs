//! The guest receives a lot.

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("download", "8 MB from the host to a guest that reads", run);

const BYTES: u64 = 8_000_000;

fn run() -> Result<()> {
    host::host(&format!("mode 5003 source {BYTES}"))?;
    let top = Top::start()?;
    let stream = traffic::connect(5003)?;
    let got = stream.drain()?;
    ensure!(got == BYTES, "the guest expected {BYTES} bytes, got {got}");
    steps::exact(&top)?;
    traffic::close(stream)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.finds_only(&[])?;
    top.stop()
}
