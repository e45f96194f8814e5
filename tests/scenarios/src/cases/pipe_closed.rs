//! Whoever reads has had enough.

use anyhow::{Result, ensure};

use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario =
    Scenario::new("pipe_closed", "a closed stdout ends hvsock-top quietly", run);

fn run() -> Result<()> {
    // The status of the first command of the pipe, not of `head`, is what counts. 141: ended by SIGPIPE.
    let ended =
        once::shell("{ hvsock-top json --interval 20ms; echo status $? >&2; } | head -n 2 >/dev/null")?;
    let quiet = ["status 0\n", "status 141\n"].contains(&ended.stderr.as_str());
    ensure!(ended.signal.is_none() && quiet, "expected a quiet end, got {ended:?}");
    Ok(())
}
