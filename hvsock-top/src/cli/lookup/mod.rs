//! `hvsock-top lookup`: what finding a socket costs.

mod lab;
mod pending;
mod text_lab;

use std::{
    io::{self, ErrorKind, Write as _},
    process::ExitCode,
};

use clap::{Args, Subcommand};

use super::{Failure, print_schema};
use crate::{lookup::lab::LabReport, model::schema};

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
}

/// Runs `hvsock-top lookup`.
pub(super) fn run(args: &LookupArgs) -> Result<ExitCode, Failure> {
    match &args.which {
        Which::Lab(args) if args.schema => print_schema(&schema::of::<LabReport>()),
        Which::Lab(args) => lab::run(args),
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
