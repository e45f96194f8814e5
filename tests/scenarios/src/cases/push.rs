//! The guest sends a lot.

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new("push", "8 MB from the guest to a host that reads", run);

const BYTES: u64 = 8_000_000;

fn run() -> Result<()> {
    host::host("mode 5002 sink")?;
    let top = Top::start()?;
    let stream = traffic::connect(5002)?;
    traffic::push(&stream, BYTES, 1 << 20)?;
    steps::wait_ledger("the host has all", |l| {
        l.conns.iter().any(|c| c.rx_bytes == BYTES && c.out_used == 0)
    })?;
    steps::exact(&top)?;
    traffic::close(stream)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.finds_only(&[])?;
    top.stop()
}
