//! Without privileges.

use anyhow::Result;

use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario =
    Scenario::new("not_root", "an ordinary user is told what is missing and how to get it, exit 3", run);

fn run() -> Result<()> {
    once::hvsock_top_as_nobody(&["json", "--once"])?.fails(3, &["root", "setcap"])
}
