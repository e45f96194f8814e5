//! `hvsock-top lookup`: what finding a socket costs.

mod experiment;
mod lab;
mod live;
mod pending;
mod report;
mod text_lab;
mod text_live;

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{Failure, live::LiveArgs, print_schema};
use crate::{
    lookup::{experiment::ExperimentReport, lab::LabReport, live::LiveReport},
    model::schema,
};

/// Options of `lookup`.
#[derive(Args, Debug)]
pub(super) struct LookupArgs {
    #[command(subcommand)]
    which: Which,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Measure the structures that find a socket side by side, in this kernel; needs no Hyper-V and attaches nothing
    Lab(lab::LabArgs),
    /// Show how full vsock's tables are, and what finding the listener takes of an open
    Live(live::LiveLookupArgs),
    /// Turn both into one page with drawings and a verdict
    Report(report::ReportArgs),
    /// Make the report of what `cargo xtask bench lookup` measured
    #[command(hide = true)]
    Experiment(experiment::ExperimentArgs),
}

/// Runs `hvsock-top lookup`.
pub(super) fn run(args: &LookupArgs, live: &LiveArgs) -> Result<ExitCode, Failure> {
    match &args.which {
        Which::Lab(args) if args.schema => print_schema(&schema::of::<LabReport>()),
        Which::Lab(args) => lab::run(args),
        Which::Live(args) if args.schema => print_schema(&schema::of::<LiveReport>()),
        Which::Live(args) => live::run(args, live),
        Which::Report(args) => report::run(args),
        Which::Experiment(args) if args.schema => print_schema(&schema::of::<ExperimentReport>()),
        Which::Experiment(_) => experiment::run(),
    }
}

/// To stdout; that nobody reads on is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::output(&error)),
        _ => Ok(()),
    }
}
