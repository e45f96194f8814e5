//! `scenarios`: what the host plays, what the guest does, and what hvsock-top must then say.
//!
//! Runs inside the test guest, as `scenarios run`; `scenarios list` runs anywhere. Every scenario is one file in
//! `cases`, and starts and ends with a clean test bed (see `bed`).

mod bed;
mod bpf;
mod cases;
mod compare;
mod doctor;
mod events;
mod faults;
mod histograms;
mod interrupt;
mod metrics;
mod needs;
mod once;
mod proof;
mod recorder;
mod runner;
mod schema;
mod serve;
mod server;
mod snapshot;
mod steps;
mod top;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "scenarios", about = "End-to-end scenarios of hvsock-top")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the scenarios and the machine each of them wants
    List,
    /// Run scenarios, inside the guest
    Run(runner::Choice),
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::List => {
            runner::list();
            ExitCode::SUCCESS
        }
        Command::Run(choice) => runner::run(&choice),
    }
}
