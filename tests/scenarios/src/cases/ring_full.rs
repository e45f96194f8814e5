//! A host that does not read.

use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::{host, traffic};

use super::fields::occupancy;
use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("ring_full", "the host stalls until the ring is full, then goes on reading", run);

/// Data bytes of a ring of the guest's default size.
const RING: u64 = 24_576;
/// What six packets, the last one cut to fit, take of it: less would be left than hv_sock can use.
const USED: u64 = 24_536;
/// Their payload.
const PAYLOAD: u64 = 24_344;
/// The blocking send that follows.
const MORE: u64 = 4096;

fn run() -> Result<()> {
    host::host("mode 5005 stall")?;
    let top = Top::start()?;
    let stream = traffic::connect(5005)?;
    let sent = traffic::fill(&stream)?;
    ensure!(sent == PAYLOAD, "the ring took {sent} bytes of payload, expected {PAYLOAD}");
    let ledger = steps::wait_ledger("the ring is full", |l| l.conns.iter().any(|c| c.full_since_ns > 0))?;
    let conn = ledger.conns.first().context("the ledger has no connection")?;
    ensure!(
        (conn.out_used, conn.out_size) == (USED, RING),
        "the host expected {USED} of {RING}: {}",
        conn.line
    );
    top.wait("a full ring", |s| {
        compare::live(s, &ledger)?;
        let value = compare::find(s.connections()?, conn)?;
        let wanted = [
            ("rings/out/used_bytes", USED),
            ("rings/out/max_used_bytes", USED),
            ("rings/out/size_bytes", RING),
            ("tx/bytes", PAYLOAD),
            ("tx/packets", 6),
        ];
        compare::expect_of(value, &wanted)?;
        // After each packet: 4,128, 8,256, 12,384, 16,512 and 20,640 of 24,576 bytes; then full.
        let mut steps = vec![0; 17];
        for step in [2, 5, 8, 10, 13, 16] {
            steps[step] = 1;
        }
        let got = occupancy(value, "out")?;
        ensure!(got == steps, "occupancy: expected {steps:?}, got {got:?}");
        // After the last two less than a page and its headers was left.
        compare::expect_of(value, &[("rings/out/full_by_2016_rule", 2)])?;
        compare::accounting(s)
    })?;
    let sender = thread::spawn(move || stream.send(&traffic::pattern(0, MORE as usize)).map(|()| stream));
    thread::sleep(std::time::Duration::from_millis(500));
    ensure!(!sender.is_finished(), "a send to a full ring does not wait");
    host::host("release 5005")?;
    let stream = sender.join().map_err(|_| anyhow!("the sender panicked"))?.context("the blocked send")?;
    let ledger = steps::wait_ledger("the host has read all", |l| {
        l.conns.iter().all(|c| c.rx_bytes == PAYLOAD + MORE && c.out_used == 0)
    })?;
    let snapshot = steps::exact(&top)?;
    let conn = ledger.conns.first().context("the ledger has no connection")?;
    let value = compare::find(snapshot.connections()?, conn)?;
    ensure!(
        number(value, "rings/out/max_used_bytes")? == USED,
        "the fullest the ring has been is lost: {value}"
    );
    traffic::close(stream)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.stop()
}
