//! A kernel that does not describe its types.

use anyhow::Result;

use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario =
    Scenario::new("no_btf", "a kernel without BTF: hvsock-top says so and what kernel it needs, exit 4", run);

fn run() -> Result<()> {
    // An empty directory over the kernel's, for this one process.
    let hidden = "unshare -m sh -c 'mount -t tmpfs none /sys/kernel/btf && exec hvsock-top json --once'";
    once::shell(hidden)?.fails(4, &["BTF", "/sys/kernel/btf"])
}
