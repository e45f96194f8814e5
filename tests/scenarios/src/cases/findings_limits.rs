//! What runs short, and what hvsock-top says of it.

use std::fs;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "findings_limits",
        "findings: channels of the VMBus, offers behind one worker, a long bucket of bound sockets, more ports than can be told apart",
        run,
    )
};

/// Buckets of vsock's table of bound sockets.
const BUCKETS: u32 = 251;

fn run() -> Result<()> {
    files()?;
    offers()?;
    lookup()?;
    relids()?;
    ports()
}

/// Open files without a limit that matters.
fn files() -> Result<()> {
    let path = "/proc/sys/fs/nr_open";
    let most: u64 = fs::read_to_string(path)?.trim().parse().context("not a number")?;
    let limit = rustix::process::Rlimit { current: Some(most.min(16_384)), maximum: Some(most.min(16_384)) };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).context("cannot open more files")
}

/// The host takes its time to answer an open, and the offers after it wait.
fn offers() -> Result<()> {
    let top = Top::start()?;
    host::host("mode 5430 hold 1700")?;
    // As hosts do: an offer that waits is not taken back so soon.
    host::host("refuse_delay 30000")?;
    let connect =
        || thread::spawn(|| hvsock_guest::vsock::Stream::connect_within(5430, Duration::from_secs(10)));
    let waiting: Vec<_> = (0..3).map(|_| connect()).collect();
    let finding = top.finds("offers_queued")?;
    ensure!(
        finding["evidence"]["offers_waiting"].as_u64().is_some_and(|n| (1..=2).contains(&n)),
        "{finding}"
    );
    for thread in waiting {
        thread.join().map_err(|_| anyhow!("a thread panicked"))?.context("not connected")?;
    }
    host::host("refuse_delay 500")?;
    steps::all_gone()?;
    top.finds_only(&["offers_queued"])?;
    top.stop()
}

/// Many sockets in the bucket that the listener is in.
fn lookup() -> Result<()> {
    let top = Top::start()?;
    let bind =
        |n: u32| Listener::bound(7000 + n * BUCKETS).with_context(|| format!("cannot bind socket {n}"));
    // The listener is bound first, and new ones come before it: each lookup walks past all of them.
    let listener = bind(0)?;
    listener.listen(64)?;
    let crowd = (1..8000).map(bind).collect::<Result<Vec<_>>>()?;
    host::host("connect 7000 echo 0 20")?;
    let streams = traffic::accept(&listener, 20, Duration::ZERO, steps::LIMIT)?;
    let finding = top.finds("lookup_slow")?;
    ensure!(finding["evidence"]["lookups"] == 20, "{finding}");
    drop((streams, crowd, listener));
    steps::all_gone()?;
    top.finds_only(&["lookup_slow"])?;
    top.stop()
}

/// Three quarters of the channels.
fn relids() -> Result<()> {
    host::host("mode 5431 echo")?;
    // Many closes at once take their time.
    let top = Top::start_with(&["--threshold", "closing_ms=60000"])?;
    let streams = traffic::connect_all(5431, 1540)?;
    let finding = top.finds("relids_high")?;
    let used = finding["evidence"]["relids_used"].as_u64();
    ensure!(finding["severity"] == "warning" && used.is_some_and(|n| (1540..1550).contains(&n)), "{finding}");
    drop(streams);
    steps::all_gone()?;
    top.finds_only(&["relids_high"])?;
    top.stop()
}

/// More ports than the table of ports has room for: what happens at them is not recorded, and hvsock-top says so.
fn ports() -> Result<()> {
    // The worker has much to do, and that is not what this is about.
    let top = Top::start_with(&["--threshold", "offer_wait_ms=60000"])?;
    host::host("refuse_delay 1")?;
    let reached = (|| -> Result<()> {
        for port in 0..4200 {
            host::host(&format!("connect {} echo", 100_000 + port))?;
            if port % 500 == 499 {
                steps::all_gone()?;
                host::host("reset")?;
            }
        }
        top.finds("lossy").map(drop)
    })();
    host::host("refuse_delay 500")?;
    reached?;
    let snapshot = top.wait("as many as could not be told apart", |s| {
        let lost = s.number("accounting/open/map_full")?;
        ensure!(lost == 4200 - 4096, "4,200 ports, room for 4,096: {lost} were lost");
        ensure!(s.number("opens/from_host/no_listener")? == 4200, "the sum is not affected");
        Ok(())
    })?;
    ensure!(snapshot.list("ports")?.len() == 4096, "{} ports", snapshot.list("ports")?.len());
    top.finds_only(&["lossy"])?;
    top.stop()
}
