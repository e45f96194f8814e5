//! The command line: one file per subcommand. Exit codes and error texts are decided here.

mod args;
mod doctor;
mod events;
mod failure;
mod json;
mod least;
mod log;
mod signals;
mod table;

use std::process::ExitCode;

use clap::Parser as _;

pub use args::Cli;
use args::Command;
pub(crate) use failure::Failure;

/// Runs the program and turns every failure into one line of what happened, one line of what to do, and an exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    let result = match &cli.command {
        None => table::run(&cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Json(args)) => json::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Events(args)) => events::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Doctor(args)) => doctor::run(args, &cli.live),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
