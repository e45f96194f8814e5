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
/// Connections between two waits for the guest to hand all relids back.
const RELIDS_AT_MOST: u64 = 500;

fn run() -> Result<()> {
    host::host("mode 5440 echo")?;
    let top = Top::start()?;
    for done in 1..=COUNT {
        let stream = traffic::connect(5440)?;
        traffic::echo(&stream, BYTES as usize)?;
        drop(stream);
        // Kernels hand relids back from a worker that one CPU lets wait while connections come without a pause; after 2,047 there is none
        // left, and the host can offer nothing.
        if done % RELIDS_AT_MOST == 0 {
            steps::all_gone()?;
        }
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
