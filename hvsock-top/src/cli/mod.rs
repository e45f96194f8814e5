//! The command line: one file per subcommand. Exit codes and error texts are decided here.

mod args;
mod diff;
mod doctor;
mod events;
mod failure;
mod findings;
mod hold;
mod input;
mod json;
mod judging;
mod least;
mod live;
mod log;
mod lookup;
mod record;
mod replay;
mod serve;
mod signals;
mod tui;
mod workload;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;

use crate::model::schema;
pub use args::Cli;
use args::Command;
pub(crate) use failure::Failure;
use tui::Shown;

/// Runs the program and turns every failure into one line of what happened, one line of what to do, and an exit code.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    if let Some(option) = cli.misplaced() {
        let what = format!("{option} before the command means nothing to it");
        return Failure::senseless(what, "write it after the command, if it has such an option").report();
    }
    let result = match &cli.command {
        None => {
            let replay = cli.from.replay.as_deref();
            let shown = replay.map_or(Shown::Live(&cli.live), |path| Shown::Recording(path, 1.0));
            tui::run(&shown, &cli.tui).map(|()| ExitCode::SUCCESS)
        }
        Some(Command::Json(args)) if args.schema => print_schema(&schema::snapshot()),
        Some(Command::Events(args)) if args.schema => print_schema(&schema::event()),
        Some(Command::Doctor(args)) if args.schema => print_schema(&schema::doctor()),
        Some(Command::Diff(args)) if args.schema => print_schema(&schema::of::<crate::record::diff::Diff>()),
        Some(Command::Json(args)) => json::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Events(args)) => events::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Findings(args)) => findings::run(args, &cli.live),
        Some(Command::Record(args)) => record::run(args, &cli.live),
        Some(Command::Replay(args)) => replay::run(args).map(|()| ExitCode::SUCCESS),
        Some(Command::Diff(args)) => diff::run(args),
        Some(Command::Doctor(args)) => doctor::run(args, &cli.live),
        Some(Command::Lookup(args)) => lookup::run(args, &cli.live),
        Some(Command::Serve(args)) => serve::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
        Some(Command::Hold(args)) => hold::run(args, &cli.live).map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Prints a JSON Schema; needs no privilege and no kernel.
fn print_schema(schema: &schemars::Schema) -> Result<ExitCode, Failure> {
    let mut text = serde_json::to_string_pretty(schema).map_err(anyhow::Error::from)?;
    text.push('\n');
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::output(&error)),
        _ => Ok(ExitCode::SUCCESS),
    }
}
