//! Ends that do not come, and what hvsock-top says of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "findings_closing",
        "findings: a close without an answer, its time-out, a channel not given back, a socket that is held, a lost ring",
        run,
    )
};

fn run() -> Result<()> {
    let top = Top::start_with(&["--threshold", "abandoned_ms=1500"])?;
    host::host("mode 5420 linger")?;
    host::host("mode 5421 echo")?;
    let held = traffic::connect(5421)?;
    let left = traffic::connect(5420)?;
    steps::exact(&top)?;
    top.finds_only(&[])?;

    drop(left);
    let finding = top.finds("closing_stuck")?;
    ensure!(finding["evidence"]["connections"] == 1, "{finding}");
    host::host("rescind 5421")?;
    let finding = top.finds("sockets_abandoned")?;
    ensure!(finding["evidence"]["pid"] == std::process::id(), "it is ours: {finding}");
    drop(held);
    let finding = top.finds("close_timeouts")?;
    ensure!(finding["evidence"]["timed_out"] == 1, "{finding}");
    let finding = top.finds("channels_leaked")?;
    ensure!(finding["severity"] == "critical" && finding["evidence"]["connections"] == 1, "{finding}");
    let memory = finding["evidence"]["ring_memory_bytes"].as_u64();
    ensure!(memory.is_some_and(|bytes| bytes >= 64 << 10), "it holds its rings: {finding}");
    host::host("rescind 5420")?;
    steps::all_gone()?;

    // The host turns the open down, and then does not take the ring back.
    host::host("mode 5422 refuse")?;
    host::host("fail_teardowns 1")?;
    ensure!(traffic::connect(5422).is_err(), "connected in spite of the host");
    let finding = top.finds("teardown_failed")?;
    ensure!(finding["evidence"]["failures"] == 1, "{finding}");
    steps::all_gone()?;
    top.wait("one failure", |s| compare::expect(s, "totals/teardown_failures", 1))?;
    top.finds_only(&[
        "channels_leaked",
        "close_timeouts",
        "closing_stuck",
        "connect_timeouts",
        "sockets_abandoned",
        "teardown_failed",
    ])?;
    top.stop()
}
