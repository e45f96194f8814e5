//! `guest`: init when it is process 1, else the traffic generator.

mod bench;
mod caps;
mod cli;
mod demo;
mod init;
mod stage;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::process::id() == 1 {
        init::main();
    }
    cli::main()
}
