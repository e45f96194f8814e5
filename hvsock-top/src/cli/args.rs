//! What can be said on the command line.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::{
    diff::DiffArgs,
    input::{FromFile, ReplayArgs},
    judging::JudgeArgs,
    live::{LiveArgs, interval},
    record::RecordArgs,
    tui::args::TuiArgs,
};

/// Shows what Hyper-V sockets are doing on this Linux guest, and what is wrong with them.
#[derive(Debug, Parser)]
#[command(name = "hvsock-top", version, propagate_version = true)]
pub struct Cli {
    /// What to do; nothing: the terminal interface.
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    /// Options of all commands that look at the live kernel.
    #[command(flatten)]
    pub(super) live: LiveArgs,
    /// Options of the terminal interface.
    #[command(flatten)]
    pub(super) tui: TuiArgs,
    /// Where to take Snapshots from, without a command.
    #[command(flatten)]
    pub(super) from: FromFile,
}

impl Cli {
    /// An option of the terminal interface that stands before a command, which has no use for it there.
    pub(super) fn misplaced(&self) -> Option<&'static str> {
        self.command.as_ref()?;
        let given = [
            ("--replay", self.from.replay.is_some()),
            ("--interval", self.tui.interval.is_some()),
            ("--config", self.tui.config.is_some()),
            ("--theme", self.tui.theme.is_some()),
            ("--ascii", self.tui.ascii),
        ];
        given.iter().find(|(_, is)| *is).map(|(name, _)| *name)
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print Snapshots as JSON, one object a line
    Json(JsonArgs),
    /// Print one line per connection opened, refused, accepted or closed
    Events(EventsArgs),
    /// Watch for some seconds and say what is wrong, with evidence; exit 1 when something is
    Findings(FindingsArgs),
    /// Record Snapshots and events in a file, until told to stop or while a command runs
    Record(RecordArgs),
    /// Show a recording: in the terminal interface, where it can be wound; else as `json --replay` does
    Replay(ReplayArgs),
    /// Compare two recordings, and mark differences that are more than noise
    Diff(DiffArgs),
    /// Say what can be observed here, what not, why, and how to fix it; exit 1 when blind
    Doctor(DoctorArgs),
    /// What finding a socket costs, and how that grows with the number of sockets
    Lookup(super::lookup::LookupArgs),
    /// Serve metrics for Prometheus, Snapshots and health over HTTP
    Serve(super::serve::ServeArgs),
    /// Attach the probes and do nothing more; for measuring what they cost
    #[command(hide = true)]
    Hold(HoldArgs),
}

/// Options of `hold`.
#[derive(Args, Debug)]
pub(super) struct HoldArgs {
    /// Attach programs that do nothing instead, in the same places and in the same ways
    #[arg(long)]
    pub(super) empty: bool,
    /// Print a Snapshot, without its connections, for each line on stdin; end when there are no more
    #[arg(long, conflicts_with = "empty")]
    pub(super) ask: bool,
}

/// Options of `findings`.
#[derive(Args, Debug)]
pub(super) struct FindingsArgs {
    /// How long to watch, such as 10s
    #[arg(long = "for", default_value = "10s", value_name = "TIME", value_parser = interval)]
    pub(super) time: Duration,
    /// Print the findings as JSON, one object
    #[arg(long)]
    pub(super) json: bool,
    /// Print the rules and the thresholds instead
    #[arg(long)]
    pub(super) rules: bool,
    #[command(flatten)]
    pub(super) judge: JudgeArgs,
    #[command(flatten)]
    pub(super) from: FromFile,
}

/// Options of `doctor`.
#[derive(Args, Debug)]
pub(super) struct DoctorArgs {
    /// Print the report as JSON, one object
    #[arg(long)]
    pub(super) json: bool,
    /// Print the JSON Schema of the report instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

/// Options of `json`.
#[derive(Args, Debug)]
pub(super) struct JsonArgs {
    /// Where to take Snapshots from.
    #[command(flatten)]
    pub(super) from: FromFile,
    /// Time between Snapshots, such as 1s or 200ms
    #[arg(long, default_value = "1s", value_parser = interval, conflicts_with = "replay")]
    pub(super) interval: Duration,
    /// Stop after this many Snapshots
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
    /// Print one Snapshot and stop; the same as --count 1
    #[arg(long, conflicts_with = "count")]
    pub(super) once: bool,
    /// Print for people: indented, many lines per Snapshot
    #[arg(long)]
    pub(super) pretty: bool,
    /// Print the JSON Schema of a Snapshot instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
    #[command(flatten)]
    pub(super) judge: JudgeArgs,
}

/// Options of `events`.
#[derive(Args, Debug)]
pub(super) struct EventsArgs {
    /// Where to take events from.
    #[command(flatten)]
    pub(super) from: FromFile,
    /// One JSON object a line
    #[arg(long)]
    pub(super) json: bool,
    /// Print the JSON Schema of an event instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
    /// Stop after this many events
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    pub(super) count: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn an_option_before_a_command_that_has_no_use_for_it_is_noticed() {
        let misplaced = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().misplaced();
        assert_eq!(misplaced("hvsock-top --replay x json"), Some("--replay"));
        assert_eq!(misplaced("hvsock-top --ascii doctor"), Some("--ascii"));
        assert_eq!(misplaced("hvsock-top json --replay x"), None);
        assert_eq!(misplaced("hvsock-top --kprobes json"), None);
        assert_eq!(misplaced("hvsock-top --replay x --interval 2s"), None);
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
