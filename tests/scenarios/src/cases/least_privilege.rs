//! What hvsock-top may do once it is attached.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "least_privilege",
        "once attached no thread holds a capability, and everything goes on; with --kprobes those for attaching again wait",
        run,
    )
};

/// CAP_DAC_READ_SEARCH, CAP_SYS_ADMIN, CAP_SYSLOG, CAP_PERFMON, CAP_BPF (include/uapi/linux/capability.h).
const ATTACHING: u64 = 1 << 2 | 1 << 21 | 1 << 34 | 1 << 38 | 1 << 39;

fn run() -> Result<()> {
    host::host("mode 5700 echo")?;
    ensure!(
        held(std::process::id(), "CapEff")?.iter().all(|set| *set != 0),
        "the runner holds nothing itself"
    );
    for (options, permitted) in [(&[][..], 0), (&["--kprobes"][..], ATTACHING)] {
        let top = Top::start_with(options)?;
        for (name, expected) in [("CapEff", 0), ("CapPrm", permitted), ("CapInh", 0), ("CapAmb", 0)] {
            let sets = held(top.id(), name)?;
            // Only the thread that attaches has any.
            let wanted = BTreeSet::from([0, expected]);
            ensure!(sets == wanted, "{options:?}: {name}: expected {wanted:x?}, got {sets:x?}");
        }
        let mut streams = traffic::connect_all(5700, 3)?;
        for stream in &streams {
            traffic::echo(stream, 3000)?;
        }
        steps::exact(&top)?;
        streams.drain(..).try_for_each(traffic::close)?;
        steps::all_gone_exact(&top)?;
        top.stop()?;
        host::host("reset")?;
    }
    Ok(())
}

/// This set of each thread of a process.
fn held(process: u32, name: &str) -> Result<BTreeSet<u64>> {
    let mut sets = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        sets.insert(u64::from_str_radix(line.with_context(|| format!("no {name}"))?.trim(), 16)?);
    }
    Ok(sets)
}
