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
    print(&lines(&report)?)?;
    judged(&report)
}

/// As JSON with a line for each cell: short, and two reports can still be compared line by line.
fn lines(report: &ExperimentReport) -> anyhow::Result<String> {
    let all = |cells: &dyn Fn() -> serde_json::Result<Vec<String>>| -> anyhow::Result<String> {
        Ok(format!("[\n{}\n]", cells()?.join(",\n")))
    };
    let members = [
        ("schema", serde_json::to_string(&report.schema)?),
        ("time", serde_json::to_string(&report.time)?),
        ("version", serde_json::to_string(&report.version)?),
        ("heading", serde_json::to_string(&report.heading)?),
        ("opens", all(&|| report.opens.iter().map(serde_json::to_string).collect())?),
        ("bursts", all(&|| report.bursts.iter().map(serde_json::to_string).collect())?),
        ("contention", all(&|| report.contention.iter().map(serde_json::to_string).collect())?),
        ("growth", all(&|| report.growth.iter().map(serde_json::to_string).collect())?),
        ("checks", all(&|| report.checks.iter().map(serde_json::to_string).collect())?),
    ];
    let members = members.map(|(name, value)| format!("\"{name}\":{value}"));
    Ok(format!("{{{}}}\n", members.join(",\n")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_are_the_report() {
        for report in [
            ExperimentReport::default(),
            ExperimentReport {
                checks: ["a", "b"]
                    .map(|text| experiment::Check { expected: text.into(), found: text.into(), holds: true })
                    .into(),
                ..ExperimentReport::default()
            },
        ] {
            let read: ExperimentReport = serde_json::from_str(&lines(&report).unwrap()).unwrap();
            assert_eq!(read, report);
        }
    }

    /// Those in the documentation are reports, and what they say holds.
    #[test]
    fn the_experiments_in_the_documentation_hold() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lookup");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|e| e != "json") {
                continue;
            }
            count += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let report: ExperimentReport = serde_json::from_str(&text).unwrap();
            assert_eq!(lines(&report).unwrap(), text, "{}", path.display());
            assert!(!report.checks.is_empty(), "{}", path.display());
            for check in &report.checks {
                assert!(check.holds, "{}: {check:?}", path.display());
            }
            for cell in &report.opens {
                assert_ne!(cell.bound.is_exact(), Some(false), "{cell:?}");
                assert_ne!(cell.connected.is_exact(), Some(false), "{cell:?}");
                assert_eq!(cell.opens, cell.ledger_opens, "{cell:?}");
            }
        }
        assert_eq!(count, 2, "one for each kernel");
    }
}
