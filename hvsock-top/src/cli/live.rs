//! Options of the commands that look at the live kernel: how, and how often.

use std::time::Duration;

use clap::Args;

use crate::collect::LiveOptions;

/// The shortest interval between Snapshots.
const SHORTEST: Duration = Duration::from_millis(10);
/// The longest.
const LONGEST: Duration = Duration::from_hours(24);

/// Options of all commands that look at the live kernel.
#[derive(Args, Clone, Debug)]
pub(super) struct LiveArgs {
    /// Show the eBPF programs' own log lines, and why a better way to attach was passed over, on stderr
    #[arg(long, short, global = true)]
    pub(super) verbose: bool,
    /// Use kprobes even where trampolines (fentry, fexit) work; hv_sock can then be unloaded while the tool runs
    #[arg(long, global = true)]
    pub(super) kprobes: bool,
    /// Count the nodes that each lookup of AF_HYPERV goes past, by going the same way once more; opens take longer then
    #[arg(long, global = true)]
    pub(super) count_nodes: bool,
    /// Leave out a probe, by the name of its event
    #[arg(long, global = true, hide = true, value_name = "EVENT", value_parser = event_name)]
    pub(super) deny_probe: Vec<String>,
}

impl LiveArgs {
    pub(super) fn options(&self) -> LiveOptions {
        LiveOptions {
            deny: self.deny_probe.clone(),
            verbose: self.verbose,
            kprobes_only: self.kprobes,
            events: false,
            empty: false,
            count_nodes: self.count_nodes,
            without_tables: false,
        }
    }
}

/// A time between Snapshots, or to watch for.
pub(super) fn interval(text: &str) -> Result<Duration, String> {
    let parsed: jiff::SignedDuration =
        text.parse().map_err(|_| "not a duration; write it like 1s, 200ms or 1m 30s".to_owned())?;
    let duration = Duration::try_from(parsed)
        .map_err(|_| "an interval cannot be negative; write it like 1s".to_owned())?;
    if duration < SHORTEST || duration > LONGEST {
        return Err("an interval must be at least 10ms and at most 24h".to_owned());
    }
    Ok(duration)
}

fn event_name(text: &str) -> Result<String, String> {
    if hvsock_common::Hook::ALL.iter().any(|hook| hook.name() == text) {
        return Ok(text.to_owned());
    }
    let names: Vec<_> = hvsock_common::Hook::ALL.iter().map(|hook| hook.name()).collect();
    Err(format!("no such event; there are {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_bounded() {
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(interval("1m 30s"), Ok(Duration::from_secs(90)));
        assert_eq!(interval("24h"), Ok(LONGEST));
        for bad in ["0s", "0", "", "1", "-1s", "9ms", "25h", "soon", "99999999999999999999s"] {
            assert!(interval(bad).is_err(), "{bad}");
        }
    }
}
