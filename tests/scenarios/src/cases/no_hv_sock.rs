//! No Hyper-V sockets at all.

use anyhow::Result;

use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario = Scenario {
    nomod: true,
    ..Scenario::new("no_hv_sock", "hv_sock is not loaded: hvsock-top says how to load it, exit 4", run)
};

fn run() -> Result<()> {
    once::hvsock_top(&["json", "--once"])?.fails(4, &["hv_sock", "modprobe hv_sock"])
}
