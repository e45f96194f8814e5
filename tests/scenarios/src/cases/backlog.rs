//! More connects of the host's than a backlog holds.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::host;
use hvsock_guest::ledger::Ledger;
use hvsock_guest::vsock::Listener;

use crate::compare;
use crate::events::{Events, count};
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("backlog", "backlogs overflow: drops, peaks and children never accepted, exactly", run);

/// Port, backlog, connects of the host's.
const OVERFLOWS: [(u32, u32, usize); 3] = [(6001, 4, 12), (6002, 0, 3), (6003, 128, 500)];

fn run() -> Result<()> {
    let events = Events::start()?;
    let top = Top::start()?;
    overflow(&top, Some(&events))?;
    events.stop()?;
    top.stop()
}

/// The same for any way of observing.
pub(super) fn overflow(top: &Top, events: Option<&Events>) -> Result<()> {
    // The guest says nothing of those it drops: the host must not take an offer back before the guest has come to it.
    host::host("refuse_delay 4000")?;
    let mut listeners = Vec::new();
    for (port, backlog, connects) in OVERFLOWS {
        listeners.push(Listener::bind(port, backlog).context("cannot listen")?);
        host::host(&format!("connect {port} echo 0 {connects}"))?;
        let what = format!("{connects} offers at port {port}, all decided");
        steps::wait_ledger(&what, |l| decided(l, port) == connects)?;
    }
    let ledger = host::ledger()?;
    top.wait("the drops of each listener", |s| {
        let mut dropped = 0;
        for (port, backlog, connects) in OVERFLOWS {
            let admitted = ledger.of_service(port).filter(|c| c.opened_ns > 0).count() as u64;
            let refused = ledger.of_service(port).filter(|c| c.refused).count() as u64;
            // listen(N) admits N, or N + 1 where the kernel compares with `>`.
            let right = [u64::from(backlog), u64::from(backlog) + 1].contains(&admitted);
            ensure!(right && admitted + refused == connects as u64, "{admitted} admitted, {refused} refused");
            let wanted = [
                ("drops/backlog_full", refused),
                ("drops/never_accepted", 0),
                ("max_backlog", u64::from(backlog)),
                ("peak_backlog", admitted),
                ("accepted", 0),
            ];
            compare::expect_of(s.listener(port)?, &wanted)?;
            dropped += refused;
        }
        compare::expect(s, "opens/from_host/backlog_full", dropped)?;
        compare::expect(s, "opens/from_host/ambiguous", 0)
    })?;
    steps::exact(top)?;
    drop(listeners);
    steps::all_gone()?;
    let snapshot = steps::exact(top)?;
    snapshot.check(|s| {
        let mut never = 0;
        for (port, _, _) in OVERFLOWS {
            let admitted = ledger.of_service(port).filter(|c| c.opened_ns > 0).count() as u64;
            let listener = s.listener(port)?;
            compare::expect_of(listener, &[("drops/never_accepted", admitted)])?;
            ensure!(listener["service_guid"] == compare::guid(port), "another GUID: {listener}");
            never += admitted;
        }
        compare::expect(s, "totals/never_accepted", never)
    })?;
    let Some(events) = events else { return Ok(()) };
    events.wait("an event for every drop, open and close", |seen| {
        for (port, _, _) in OVERFLOWS {
            let refused = ledger.of_service(port).filter(|c| c.refused).count();
            let admitted = ledger.of_service(port).filter(|c| c.opened_ns > 0).count();
            for (kind, why, expected) in [
                ("open_failed", Some("backlog_full"), refused),
                ("open_failed", None, refused),
                ("opened", None, admitted),
                ("accepted", None, 0),
                ("closed", None, admitted),
            ] {
                let got = count(seen, kind, why, port);
                ensure!(
                    got == expected,
                    "port {port}, {kind} {why:?}: expected {expected} events, got {got}"
                );
            }
        }
        ensure!(count(seen, "lost", None, 0) == 0, "events were lost");
        Ok(())
    })?;
    Ok(())
}

/// How many of the port's offers the guest has opened or let pass.
fn decided(ledger: &Ledger, port: u32) -> usize {
    ledger.of_service(port).filter(|c| c.opened_ns > 0 || c.refused).count()
}
