//! No contiguous memory is left for rings.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::events::{Events, count};
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "ring_memory",
        "memory is nearly used up and connections want large rings: those that cannot be had, exactly, and the finding",
        run,
    )
};

const MIB: u64 = 1 << 20;

/// So much is left free: less than the rings of all connections, and enough for everything else.
const LEFT: u64 = 40 * MIB;

/// Connections of the host's; the two rings of each are one block of 1 MiB.
const CONNECTIONS: usize = 60;

/// The largest socket buffer; the kernel doubles it, and hv_sock takes no more than 256 KiB of it.
const BUFFER: i32 = 256 << 10;

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    let listener = Listener::bind(6700, 128).context("cannot listen")?;
    listener.set_buffers(BUFFER, BUFFER).context("cannot set the buffers")?;
    let eaten = eat()?;
    host::host(&format!("connect 6700 echo 0 {CONNECTIONS}"))?;
    let ledger = steps::wait_ledger("each is open, or has been taken back", |l| {
        l.conns.len() == CONNECTIONS && l.conns.iter().all(|c| c.opened_ns > 0 || c.refused)
    })?;
    let failed = ledger.conns.iter().filter(|c| c.opened_ns == 0).count();
    ensure!(
        (1..CONNECTIONS).contains(&failed),
        "{failed} of {CONNECTIONS} failed: memory was not short as it should be"
    );

    let wanted = [
        ("opens/from_host/ring_enomem", failed as u64),
        ("opens/from_host/ok", (CONNECTIONS - failed) as u64),
        ("opens/from_host/other", 0),
        ("opens/from_host/host_refused", 0),
    ];
    let finding = top.finds("ring_memory")?;
    ensure!(
        finding["severity"] == "critical" && finding["evidence"]["failed_opens"] == failed,
        "{failed}: {finding}"
    );
    ensure!(finding["evidence"]["block_bytes"] == MIB, "a block of 1 MiB: {finding}");
    let snapshot = top.wait("as many as failed", |s| {
        compare::expect_all(s, &wanted)?;
        compare::accounting(s)
    })?;
    let port = snapshot.list("ports")?.iter().find(|p| p["port"] == 6700).context("no port 6700")?;
    compare::expect_of(
        port,
        &[("offers/ring_enomem", failed as u64), ("live", (CONNECTIONS - failed) as u64)],
    )?;
    events.wait("an event for each that failed", |seen| {
        let got = count(seen, "open_failed", Some("ring_enomem"), 6700);
        ensure!(got == failed, "expected {failed} events, got {got}");
        Ok(())
    })?;

    // With memory again all is as ever.
    drop(eaten);
    let streams = traffic::accept(&listener, CONNECTIONS - failed, Duration::ZERO, steps::LIMIT)?;
    host::host("connect 6700 echo")?;
    let another = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
    traffic::echo(&another, 5000)?;
    drop((streams, another, listener));
    steps::all_gone_exact(&top)?;
    events.stop()?;
    top.stop()
}

/// Takes memory until so much is left. Given back when dropped.
fn eat() -> Result<Vec<Vec<u8>>> {
    let mut eaten = Vec::new();
    while free()? > LEFT {
        // Not zeros: those would cost nothing until they are written.
        eaten.push(vec![1; MIB as usize]);
    }
    Ok(eaten)
}

/// Memory that is free, in bytes.
fn free() -> Result<u64> {
    let text = fs::read_to_string("/proc/meminfo")?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemFree:")).context("no MemFree")?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().context("MemFree is no number")?;
    Ok(kib * 1024)
}
