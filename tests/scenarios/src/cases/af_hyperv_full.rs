//! AF_HYPERV: a host that does not read, under two thresholds. The review asked whether a page is the right one.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::af_hyperv::in_place;
use hvsock_guest::{host, traffic};

use super::fields::occupancy;
use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "af_hyperv_full",
        "AF_HYPERV with a threshold of a page, and of 1,000 bytes: how full the ring gets, and the wait for room",
        run,
    )
};

/// Data bytes of a ring of five pages.
const RING: u64 = 16_384;
/// The blocking send that follows.
const MORE: u64 = 4096;

/// What fits.
struct Full {
    payload: u64,
    used: u64,
    reserved: u64,
    packets: u64,
    /// The steps of the occupancy histogram after each packet.
    steps: &'static [usize],
    by_2016_rule: u64,
}

fn run() -> Result<()> {
    // Three packets of a page; then less than a page and its headers is left.
    let page = Full {
        payload: 12_288,
        used: 12_384,
        reserved: 4128,
        packets: 3,
        steps: &[4, 8, 16],
        by_2016_rule: 1,
    };
    in_place("", || fill(&page)).context("threshold of a page")?;
    // A fourth one, cut so that a FIN still fits.
    let less = Full {
        payload: 16_216,
        used: 16_344,
        reserved: 1032,
        packets: 4,
        steps: &[4, 8, 12, 16],
        by_2016_rule: 2,
    };
    in_place("threshold=1000", || fill(&less)).context("threshold=1000")
}

fn fill(full: &Full) -> Result<()> {
    host::host("reset")?;
    host::host("mode 5005 stall")?;
    let top = Top::start()?;
    let stream = traffic::connect(5005)?;
    let sent = traffic::fill(&stream)?;
    ensure!(sent == full.payload, "the ring took {sent} bytes of payload, expected {}", full.payload);
    let ledger = steps::wait_ledger("the host sees it", |l| l.conns.iter().any(|c| c.out_used == full.used))?;
    let conn = ledger.conns.first().context("the ledger has no connection")?;
    top.wait("a full ring", |s| {
        let value = compare::find(s.connections()?, conn)?;
        let wanted = [
            ("rings/out/size_bytes", RING),
            ("rings/out/used_bytes", full.used),
            ("rings/out/max_used_bytes", full.used),
            ("rings/out/reserved_bytes", full.reserved),
            ("rings/out/full_by_2016_rule", full.by_2016_rule),
            ("tx/bytes", full.payload),
            ("tx/packets", full.packets),
            ("tx/eagain", 1),
            ("tx/stalls", 0),
        ];
        compare::expect_of(value, &wanted)?;
        let mut steps = vec![0; 17];
        full.steps.iter().for_each(|step| steps[*step] += 1);
        let got = occupancy(value, "out")?;
        ensure!(got == steps, "occupancy: expected {steps:?}, got {got:?}");
        compare::accounting(s)
    })?;
    let sender = thread::spawn(move || stream.send(&traffic::pattern(0, MORE as usize)).map(|()| stream));
    top.wait("a sender that waits", |s| {
        let value = compare::find(s.connections()?, conn)?;
        ensure!(number(value, "tx/stalled_for_ns")? > 0, "it does not wait: {value}");
        compare::expect_of(value, &[("tx/stalls", 1)])
    })?;
    host::host("release 5005")?;
    let stream = sender.join().map_err(|_| anyhow!("the sender panicked"))?.context("the blocked send")?;
    steps::wait_ledger("the host has read all", |l| {
        l.conns.iter().all(|c| c.rx_bytes == full.payload + MORE && c.out_used == 0)
    })?;
    top.wait("the end of the wait", |s| {
        let value = s.connection()?;
        ensure!(number(value, "tx/stall_ns")? > 0, "{value}");
        compare::expect_of(
            value,
            &[("tx/bytes", full.payload + MORE), ("tx/stalls", 1), ("tx/stalled_for_ns", 0)],
        )?;
        compare::expect(s, "latency/send_stall/count", 1)
    })?;
    traffic::close(stream)?;
    steps::all_gone()?;
    top.stop()
}
