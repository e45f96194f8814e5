//! A kernel without vsock.

use anyhow::Result;

use crate::once::hvsock_top;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario = Scenario {
    nomod: true,
    ..Scenario::new("serve_no_vsock", "vsock is asked for where there is none: what, and what to do", run)
};

fn run() -> Result<()> {
    hvsock_top(&["serve", "--listen", "vsock:9464"])?
        .fails(1, &["vsock is not available", "modprobe hv_sock"])
}
