//! The simulated host: commands to it, and its ledger.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::ledger::Ledger;

/// Where the module hvhost listens.
const PROC: &str = "/proc/hvhost";

/// Gives the host one command, such as `mode 5000 sink`.
pub fn host(command: &str) -> Result<()> {
    fs::write(PROC, command).with_context(|| match fs::exists(PROC) {
        Ok(true) => format!("the host does not know the command \"{command}\""),
        _ => format!("no {PROC}: load hvhost.ko"),
    })
}

/// The ledger's text as of now.
pub fn ledger_text() -> Result<String> {
    fs::read_to_string(PROC).with_context(|| format!("cannot read {PROC}: load hvhost.ko"))
}

/// The ledger as of now.
pub fn ledger() -> Result<Ledger> {
    ledger_text()?.parse()
}

/// The ledger once `condition` holds; an error that shows the last one when it does not within `limit`.
pub fn wait_ledger(what: &str, limit: Duration, condition: impl Fn(&Ledger) -> bool) -> Result<Ledger> {
    let end = Instant::now() + limit;
    loop {
        let text = ledger_text()?;
        let ledger: Ledger = text.parse()?;
        if condition(&ledger) {
            return Ok(ledger);
        }
        if Instant::now() > end {
            let lines: Vec<&str> = text.lines().take(12).collect();
            bail!("not within {limit:?}: {what}; the ledger begins\n{}", lines.join("\n"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
