//! Steps that scenarios share. Traffic and the host's commands come from `hvsock_guest`.

use std::time::Duration;

use anyhow::Result;
use hvsock_guest::host;
use hvsock_guest::ledger::{Ledger, State};

use crate::compare;
use crate::histograms;
use crate::snapshot::Snapshot;
use crate::top::Top;

/// How long hvsock-top may take to start, and to show what has happened.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// The ledger once `condition` holds.
pub(crate) fn wait_ledger(what: &str, condition: impl Fn(&Ledger) -> bool) -> Result<Ledger> {
    host::wait_ledger(what, LIMIT, condition)
}

/// The ledger once every connection is gone.
pub(crate) fn all_gone() -> Result<Ledger> {
    wait_ledger("all connections are gone", |l| l.conns.iter().all(|c| c.state == State::Gone))
}

/// Waits for hvsock-top to show exactly the live connections of the ledger, and the sums over all of them. For an
/// hvsock-top that has been running since before the first.
pub(crate) fn exact(top: &Top) -> Result<Snapshot> {
    top.wait("what the ledger says", |s| {
        // Read anew each time: the host may not have taken yet what was sent a moment ago.
        let ledger = host::ledger()?;
        compare::live(s, &ledger)?;
        compare::totals(s, &ledger)?;
        histograms::consistent(s)?;
        compare::accounting(s)
    })
}

/// Waits until all connections are gone, and for hvsock-top to say the same.
pub(crate) fn all_gone_exact(top: &Top) -> Result<Snapshot> {
    all_gone()?;
    exact(top)
}
