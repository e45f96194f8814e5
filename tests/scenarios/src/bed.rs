//! The test bed before and after a scenario: nothing of the last one is left, and the kernel has not complained.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hvsock_guest::host::{host, ledger, wait_ledger};

use crate::bpf;
use crate::runner::Scenario;

/// How long releasing things may take.
const SETTLE: Duration = Duration::from_secs(15);

/// Words in the kernel log that are never fine.
const COMPLAINTS: &[&str] = &[
    "WARNING:",
    "BUG:",
    "Oops",
    "Call Trace",
    "blocked for more than",
    "soft lockup",
    "detected stall",
    "general protection",
    "UBSAN",
    "hvhost: the guest",
];

/// What was there before the scenario.
pub(crate) struct Bed {
    marker: String,
    simulated: bool,
    kernel: Kernel,
}

/// What hvsock-top puts into the kernel, by any way of looking.
pub(crate) struct Kernel {
    attached: BTreeSet<String>,
    objects: BTreeSet<(&'static str, u32)>,
}

impl Kernel {
    /// What is there now.
    pub(crate) fn now() -> Result<Self> {
        Ok(Self { attached: attached()?, objects: bpf::objects()? })
    }

    /// Waits until nothing is there that was not there then: the kernel frees some things with a delay.
    pub(crate) fn is_as_before(&self) -> Result<()> {
        let end = Instant::now() + SETTLE;
        loop {
            let now = Self::now()?;
            let objects: Vec<_> = now.objects.difference(&self.objects).collect();
            let attached: Vec<_> = now.attached.difference(&self.attached).collect();
            if objects.is_empty() && attached.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("left behind: {objects:?}, kernel functions probed: {attached:#?}");
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Bed {
    /// Looks at the bed and makes the ledger empty.
    pub(crate) fn prepare(scenario: &Scenario) -> Result<Self> {
        let marker = format!("scenario {} begins", scenario.name);
        let mut kmsg =
            fs::OpenOptions::new().write(true).open("/dev/kmsg").context("cannot open /dev/kmsg")?;
        // In one call: each is a record of its own.
        kmsg.write_all(format!("<6>{marker}\n").as_bytes()).context("cannot write to the kernel log")?;
        let simulated = !scenario.nomod;
        if simulated {
            let live = ledger()?.host.live;
            ensure!(live == 0, "the bed is not clean: {live} connections are alive before the scenario");
            host("refuse_delay 500")?;
            host("reset")?;
        }
        Ok(Self { marker, simulated, kernel: Kernel::now()? })
    }

    /// Ends what is left of the scenario and looks for traces of it.
    pub(crate) fn check(self) -> Result<()> {
        if self.simulated {
            host("mend")?;
            host("release")?;
            host("rescind")?;
            wait_ledger("no connection is left after the scenario", SETTLE, |l| l.host.live == 0)?;
        }
        self.kernel.is_as_before()?;
        self.kernel_log()
    }

    fn kernel_log(&self) -> Result<()> {
        let output = Command::new("dmesg").output().context("cannot run dmesg")?;
        let text = String::from_utf8_lossy(&output.stdout);
        let after = text.split_once(&self.marker).map_or(&*text, |(_, after)| after);
        let bad = |line: &&str| COMPLAINTS.iter().any(|word| line.contains(word));
        if let Some(at) = after.lines().position(|line| bad(&line)) {
            let lines: Vec<&str> = after.lines().skip(at).take(30).collect();
            bail!("the kernel complains:\n{}", lines.join("\n"));
        }
        Ok(())
    }
}

/// The kernel functions that somebody has attached to, by kprobe or by trampoline.
fn attached() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for path in ["/sys/kernel/debug/kprobes/list", "/sys/kernel/tracing/enabled_functions"] {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        found.extend(text.lines().map(|line| format!("{path}: {line}")));
    }
    Ok(found)
}
