//! `hvsock-top lookup experiment`, hidden: makes the report of what `cargo xtask bench lookup` measured, or says why there is none.

use std::{
    io::{self, Read as _},
    process::ExitCode,
};

use clap::Args;

use super::print;
use crate::{
    cli::Failure,
    lookup::experiment::{self, ExperimentReport, Wrong},
};

/// Options of `lookup experiment`.
#[derive(Args, Debug)]
pub(super) struct ExperimentArgs {
    /// Print the JSON Schema of the report instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

/// From stdin to stdout.
pub(super) fn run() -> Result<ExitCode, Failure> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text).map_err(|error| {
        Failure::new(
            format!("cannot read what was measured: {error}"),
            "give it what `guest bench lookup` printed",
        )
    })?;
    let report = experiment::make(&text, jiff::Timestamp::now().to_string())?;
    print(&(serde_json::to_string_pretty(&report).map_err(anyhow::Error::from)? + "\n"))?;
    judged(&report)
}

/// Bad news of a report that has been given out.
fn judged(report: &ExperimentReport) -> Result<ExitCode, Failure> {
    let wrong: Vec<_> = report.checks.iter().filter(|check| !check.holds).collect();
    let Some(first) = wrong.first() else { return Ok(ExitCode::SUCCESS) };
    Err(Failure::new(
        format!(
            "{} of {} predictions fail; {}: {}",
            wrong.len(),
            report.checks.len(),
            first.expected,
            first.found
        ),
        "look at `checks` in the report",
    ))
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::new(
            wrong.to_string(),
            "this is no measurement of what it should be; run it again, and report it if it stays so",
        )
    }
}
