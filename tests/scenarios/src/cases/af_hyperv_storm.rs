//! AF_HYPERV under load, on two CPUs.

use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hvsock_guest::af_hyperv::{Counts, LOOKUPS, in_place};
use hvsock_guest::{host, traffic};

use crate::once;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "af_hyperv_storm",
        "AF_HYPERV on two CPUs: 500 connections at once, then 160 under hvsock-top, half taken away by the host, the module held as long as one lives",
        run,
    )
};

const THREADS: usize = 4;

fn run() -> Result<()> {
    LOOKUPS.iter().try_for_each(|lookup| {
        in_place(&format!("lookup={lookup}"), || {
            storm(125, None)?;
            let top = Top::start()?;
            storm(40, Some(&top))?;
            top.stop()
        })
    })
}

/// So many connections of each thread, all open together and then closed.
fn storm(each: usize, top: Option<&Top>) -> Result<()> {
    host::host("reset")?;
    host::host("mode 5000 echo")?;
    host::host("mode 5001 echo")?;
    let before = Counts::now()?;
    let threads: Vec<_> = (0..THREADS)
        .map(|i| {
            thread::spawn(move || -> Result<_> {
                let streams = traffic::connect_all(5000 + (i % 2) as u32, each)?;
                streams.iter().try_for_each(|stream| traffic::echo(stream, 500))?;
                Ok(streams)
            })
        })
        .collect();
    let mut streams = Vec::new();
    for thread in threads {
        streams.extend(thread.join().map_err(|_| anyhow!("a thread panicked"))??);
    }
    let all = (THREADS * each) as u64;
    let counts = Counts::now()?;
    ensure!((counts.bound, counts.connected) == (all, all), "{counts:?}");
    if let Some(top) = top {
        steps::exact(top)?;
    } else {
        // hvsock-top holds the module as well; here nobody does but the sockets.
        let ended = once::shell("rmmod af_hyperv")?;
        ensure!(ended.code != Some(0), "the module went under {all} connections");
    }
    // The host takes half away while the guest closes all.
    let rescind = thread::spawn(|| host::host("rescind 5001"));
    drop(streams);
    rescind.join().map_err(|_| anyhow!("a thread panicked"))??;
    steps::all_gone()?;
    if let Some(top) = top {
        steps::exact(top)?;
    }
    let counts = Counts::now()?;
    ensure!((counts.bound, counts.connected) == (0, 0), "{counts:?}");
    let lookups = counts.connected_lookups - before.connected_lookups;
    ensure!(lookups == all, "a lookup for each rescind: expected {all}, got {lookups}");
    Ok(())
}
