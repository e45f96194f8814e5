//! `cargo xtask demo`: the terminal interface over a guest with a busy workload.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;

use crate::{kernels, terminal, vm};

/// What the guest runs. The workload's own messages go to the console, so that the terminal is hvsock-top's alone.
const COMMAND: &str = "guest demo --watched </dev/null >/dev/console 2>&1 & exec hvsock-top \"$@\"";

/// `cargo xtask demo`
#[derive(Debug, clap::Args)]
pub(crate) struct Demo {
    /// The kernel, of those in the matrix
    #[arg(long, default_value = kernels::DEFAULT, value_parser = kernels::ids())]
    kernel: String,
    #[command(flatten)]
    options: vm::Options,
    /// Record what the terminal shows, for `asciinema play FILE`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Arguments for hvsock-top
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// Runs `cargo xtask demo`.
pub(crate) fn run(args: &Demo) -> Result<ExitCode> {
    terminal::required()?;
    vm::ready(&args.options)?;
    let bed = vm::Bed::prepare(&args.kernel)?;
    let mut command: Vec<String> = ["sh", "-c", COMMAND, "sh"].map(str::to_owned).to_vec();
    command.extend(args.arguments.iter().cloned());
    let machine = bed.machine(&args.options, &command, &[])?;
    eprintln!(
        "xtask: booting Linux {}; q leaves hvsock-top and with it the guest, Ctrl-] ends it at once",
        bed.release()
    );
    terminal::run(machine, args.record.as_deref(), None)
}
