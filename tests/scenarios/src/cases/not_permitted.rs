//! What the kernel does not let an ordinary user do.

use anyhow::{Result, ensure};

use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("not_permitted", "binds to ports that only root may have: each is counted", run);

fn run() -> Result<()> {
    let top = Top::start()?;
    for port in [80, 1023, 80] {
        let ended = once::shell(&format!("guest caps none -- guest serve {port}"))?;
        ensure!(ended.code == Some(1) && ended.stderr.contains("ermission denied"), "{port}: {ended:?}");
    }
    // Whom it is not refused to, and who fails for another reason, does not count.
    let ended = once::shell("guest caps none -- guest serve 1024")?;
    ensure!(ended.stderr.contains("nobody connected"), "1024: {ended:?}");
    let ended = once::shell("guest caps NET_BIND_SERVICE -- guest serve 80")?;
    ensure!(ended.stderr.contains("nobody connected"), "80: {ended:?}");
    top.wait("three binds refused", |s| {
        compare::expect(s, "totals/binds_not_permitted", 3)?;
        compare::accounting(s)
    })?;
    top.stop()
}
