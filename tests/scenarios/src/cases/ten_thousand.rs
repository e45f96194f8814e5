//! Ten thousand connections, one after the other.

use std::time::Duration;

use anyhow::Result;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new("ten_thousand", "10,000 connections one after the other: sums exact, no slot leaked", run)
};

const COUNT: u64 = 10_000;
const BYTES: u64 = 100;

fn run() -> Result<()> {
    host::host("mode 5440 echo")?;
    let top = Top::start()?;
    for _ in 0..COUNT {
        let stream = traffic::connect(5440)?;
        traffic::echo(&stream, BYTES as usize)?;
        drop(stream);
    }
    let snapshot = steps::all_gone_exact(&top)?;
    compare::expect_all(
        &snapshot,
        &[
            ("opens/to_host/ok", COUNT),
            ("closes/graceful", COUNT),
            ("closes/by_host", 0),
            ("closes/timed_out", 0),
            ("closes/other", 0),
            ("totals/closed_connections", COUNT),
            ("totals/live_connections", 0),
            ("totals/relids_used", 0),
            ("totals/tx_bytes", COUNT * BYTES),
            ("totals/rx_bytes", COUNT * BYTES),
            ("totals/tx_packets", COUNT),
            ("totals/rx_packets", COUNT),
        ],
    )?;
    top.stop()
}
