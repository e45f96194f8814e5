//! The host takes channels away in the middle of traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use hvsock_guest::vsock::Stream;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::histograms;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    ..Scenario::new("rescind_load", "300 connections taken away while four threads send on them", run)
};

const COUNT: usize = 300;
const THREADS: usize = 4;

fn run() -> Result<()> {
    host::host("mode 5420 sink")?;
    let top = Top::start()?;
    let mut streams = traffic::connect_all(5420, COUNT)?;
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..THREADS)
        .map(|_| {
            let (mine, stop) = (streams.split_off(streams.len() - COUNT / THREADS), Arc::clone(&stop));
            thread::spawn(move || send(&mine, &stop))
        })
        .collect();
    thread::sleep(Duration::from_millis(500));
    host::host("rescind 5420")?;
    thread::sleep(Duration::from_millis(200));
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for sender in senders {
        sent += sender.join().map_err(|_| anyhow!("a sender panicked"))?;
    }
    let ledger = steps::all_gone()?;
    ensure!(sent > 0 && ledger.conns.iter().all(|c| c.rescinded_ns > 0), "no load");
    let snapshot = top.wait("every connection taken away by the host, every byte sent", |s| {
        compare::expect_all(
            s,
            &[
                ("opens/to_host/ok", COUNT as u64),
                ("closes/by_host", COUNT as u64),
                ("closes/graceful", 0),
                ("closes/timed_out", 0),
                ("closes/other", 0),
                ("totals/live_connections", 0),
                ("totals/closed_connections", COUNT as u64),
                ("totals/relids_used", 0),
                ("totals/ring_memory_bytes", 0),
                // What send() has taken, whether or not the host came to read it.
                ("totals/tx_bytes", sent),
            ],
        )?;
        histograms::consistent(s)?;
        compare::accounting(s)
    })?;
    let received: u64 = ledger.conns.iter().map(|c| c.rx_bytes).sum();
    ensure!(received <= snapshot.number("totals/tx_bytes")?, "the host received more than was sent");
    top.stop()
}

/// Sends small and large pieces on each in turn until told to stop; what send() took in all.
fn send(streams: &[Stream], stop: &AtomicBool) -> u64 {
    let mut total = 0;
    let mut round = 0;
    while !stop.load(Ordering::Relaxed) {
        for stream in streams {
            round += 1;
            // Fails once the channel is gone.
            total += stream.send_once(&traffic::pattern(0, 1 + round * 977 % 9000)).unwrap_or(0) as u64;
        }
    }
    total
}
