//! The binary only dispatches.
use std::process::ExitCode;

fn main() -> ExitCode {
    hvsock_top::cli::run()
}
