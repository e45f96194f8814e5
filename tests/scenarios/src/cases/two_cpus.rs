//! Threads on two CPUs.

use std::thread;

use anyhow::{Result, anyhow};
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    ..Scenario::new(
        "two_cpus",
        "threads that echo, send and receive on two CPUs, some on the same socket",
        run,
    )
};

const BYTES: usize = 300_000;

fn run() -> Result<()> {
    host::host("mode 5450 echo")?;
    host::host(&format!("mode 5451 source {BYTES}"))?;
    let top = Top::start()?;
    let threads: Vec<_> = (0..4)
        .map(|i| {
            thread::spawn(move || -> Result<()> {
                for round in 0..5 {
                    let stream = traffic::connect(5450)?;
                    traffic::echo(&stream, 20_000 + 1000 * i + round)?;
                    traffic::close(stream)?;
                }
                Ok(())
            })
        })
        .collect();
    // One sends and another receives at the same time, on one socket.
    let both = traffic::connect(5450)?;
    let other = both.another()?;
    let sender = thread::spawn(move || traffic::push(&other, BYTES as u64, 7000));
    both.receive_exact(&mut vec![0; BYTES])?;
    let source = traffic::connect(5451)?;
    source.receive_exact(&mut vec![0; BYTES])?;
    for thread in threads.into_iter().chain([sender]) {
        thread.join().map_err(|_| anyhow!("a thread panicked"))??;
    }
    steps::wait_ledger("two are left", |l| l.host.live == 2)?;
    steps::exact(&top)?;
    traffic::close(both)?;
    traffic::close(source)?;
    steps::all_gone_exact(&top)?;
    top.stop()
}
