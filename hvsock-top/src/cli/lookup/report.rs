//! `hvsock-top lookup report`: what was measured, as one page.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use serde::de::DeserializeOwned;

use super::{lab, pending::Pending, print};
use crate::{
    cli::Failure,
    lookup::{
        experiment::ExperimentReport,
        lab::LabReport,
        live::LiveReport,
        page::{self, Measured},
        plot,
    },
};

/// Options of `lookup report`.
#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// The folder for the page and the drawing; it is made if it is not there
    #[arg(long, value_name = "DIR", default_value = "lookup-report")]
    out: PathBuf,
    /// What `lookup lab --json` printed; without it the laboratory works now
    #[arg(long, value_name = "FILE")]
    lab: Option<PathBuf>,
    /// What `lookup live --json` printed on a guest
    #[arg(long, value_name = "FILE")]
    live: Option<PathBuf>,
    /// Results of the experiment with the sockets themselves: the repository has them in docs/lookup
    #[arg(long, value_name = "FILE")]
    experiment: Option<PathBuf>,
}

/// Makes the page. A laboratory that was stopped half way still makes one, marked as such.
pub(super) fn run(args: &ReportArgs) -> Result<ExitCode, Failure> {
    let live: Option<LiveReport> = args.live.as_deref().map(read).transpose()?;
    let experiment: Option<ExperimentReport> = args.experiment.as_deref().map(read).transpose()?;
    let given: Option<LabReport> = args.lab.as_deref().map(read).transpose()?;
    fs::create_dir_all(&args.out).map_err(|error| {
        Failure::new(
            format!("cannot make the folder {}: {error}", args.out.display()),
            "name a folder with --out that you may write to",
        )
    })?;
    let file = |name: &str| args.out.join(name);
    let (page_file, drawing) = (Pending::new(&file("index.html"))?, Pending::new(&file("lookup.svg"))?);
    let report = if let Some(report) = given {
        report
    } else {
        // Half a minute of work is kept for the next page.
        let kept = Pending::new(&file("lab.json"))?;
        let report = lab::measure(&lab::defaults())?;
        kept.write(&serde_json::to_string(&report).map_err(anyhow::Error::from)?)?;
        report
    };
    drawing.write(&plot::lab(&report).map_err(anyhow::Error::msg)?)?;
    if let Some(experiment) = &experiment {
        let sockets = Pending::new(&file("experiment.svg"))?;
        sockets.write(&plot::experiment(experiment).map_err(anyhow::Error::msg)?)?;
    }
    let measured = Measured { lab: &report, live: live.as_ref(), experiment: experiment.as_ref() };
    page_file.write(&page::html(measured).map_err(anyhow::Error::msg)?)?;
    print(&format!("{}\n", file("index.html").display()))?;
    lab::judged(&report)
}

/// A report of ours.
fn read<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(
            format!("cannot read {}: {error}", path.display()),
            "name a file that is there and that you may read",
        )
    })?;
    serde_json::from_str(&text).map_err(|error| {
        Failure::new(
            format!("{} is not such a report: {error}", path.display()),
            "--lab takes what `hvsock-top lookup lab --json` printed, --live what `hvsock-top lookup live --json` did, --experiment what \
             `cargo xtask bench lookup` wrote",
        )
    })
}
