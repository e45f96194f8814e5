//! Two thousand connections at once.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hvsock_guest::vsock::Stream;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::histograms;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new("storm", "2,000 connects at once, all open together, then closed: no slot is leaked", run)
};

const COUNT: usize = 2000;
/// The worker opens one after the other; the last waits long.
const PATIENCE: Duration = Duration::from_mins(1);

fn run() -> Result<()> {
    host::host("mode 5430 echo")?;
    let top = Top::start()?;
    // A second storm gets every slot of the first.
    for round in 1..=2 {
        let count = if round == 1 { COUNT } else { COUNT / 4 };
        let streams = connect_at_once(count)?;
        for stream in streams.iter().step_by(100) {
            traffic::echo(stream, 1000)?;
        }
        let snapshot = steps::exact(&top)?;
        if round == 1 {
            // Enough to tell the 99.9th percentile from the largest.
            snapshot.check(histograms::of_connections)?;
        }
        let rings = count as u64 * (16 << 12);
        snapshot.check(|s| {
            compare::expect_all(
                s,
                &[
                    ("totals/live_connections", count as u64),
                    ("totals/relids_used", count as u64),
                    ("totals/ring_memory_bytes", rings),
                ],
            )
        })?;
        drop(streams);
        let snapshot = steps::all_gone_exact(&top)?;
        compare::expect_all(
            &snapshot,
            &[
                ("totals/live_connections", 0),
                ("totals/relids_used", 0),
                ("totals/ring_memory_bytes", 0),
                ("closes/graceful", snapshot.number("opens/to_host/ok")?),
            ],
        )?;
    }
    top.stop()
}

/// One thread each: a connect that does not block would keep its socket, and with it the relid, from going away until
/// its time limit has passed, connected or not.
fn connect_at_once(count: usize) -> Result<Vec<Stream>> {
    let connecting: Vec<_> = (0..count)
        .map(|_| {
            let small = thread::Builder::new().stack_size(64 << 10);
            small.spawn(|| Stream::connect_within(5430, PATIENCE))
        })
        .collect::<Result<_, _>>()
        .context("cannot start the threads")?;
    let join = |thread: thread::JoinHandle<std::io::Result<Stream>>| -> Result<Stream> {
        let result = thread.join().map_err(|_| anyhow!("a thread panicked"))?;
        result.context("a connect of the storm")
    };
    connecting.into_iter().map(join).collect()
}
