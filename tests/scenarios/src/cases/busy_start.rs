//! hvsock-top comes while much is going on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "busy_start",
        "started again and again while connections are opened, used and closed: what began before it is not called lost",
        run,
    )
};

const ROUNDS: usize = 2;

fn run() -> Result<()> {
    host::host("mode 5440 echo")?;
    let stop = AtomicBool::new(false);
    let busy = || -> Result<u64> {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            let stream = traffic::connect(5440)?;
            traffic::echo(&stream, 3000)?;
            drop(stream);
            // hvsock-top must get its share of the one CPU.
            thread::sleep(Duration::from_millis(10));
            done += 1;
        }
        Ok(done)
    };
    let done = thread::scope(|scope| {
        let thread = scope.spawn(busy);
        let looked = look();
        stop.store(true, Ordering::Relaxed);
        let done = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
        looked.map(|()| done)
    })?;
    ensure!(done > 100, "only {done} connections: that is not much");
    steps::all_gone().map(drop)
}

fn look() -> Result<()> {
    for options in [
        &["json", "--count", "3", "--interval", "100ms"][..],
        &["json", "--kprobes", "--count", "3", "--interval", "100ms"],
    ] {
        for _ in 0..ROUNDS {
            let ended = once::hvsock_top(options)?;
            ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
            for line in ended.stdout.lines() {
                compare::accounting(&Snapshot::parse(line)?)?;
            }
        }
    }
    Ok(())
}
