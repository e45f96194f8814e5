//! Builds, boots, tests and shows hvsock-top: `cargo xtask --help`.

mod acpi;
mod apt;
mod bench;
mod cast;
mod cleanup;
mod console;
mod cpio;
mod demo;
mod deny;
mod ebpf;
mod exec;
mod fetch;
mod initramfs;
mod kernels;
mod modules;
mod paths;
mod prometheus;
mod qemu;
mod recipes;
mod scenarios;
mod serial;
mod setup;
mod stage;
mod terminal;
mod test;
mod toolchain;
mod vm;
mod vmlinux;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the eBPF object that is committed in the tree
    BuildEbpf(ebpf::BuildEbpf),
    /// Run a command in a guest with Hyper-V sockets; only its output goes to standard output
    Vm(vm::Vm),
    /// Check everything: format, lints, unit tests, the eBPF object, and the scenarios on every kernel
    Test(test::Test),
    /// Measure what hvsock-top costs, and write the figures down
    Bench(bench::Bench),
    /// Show the terminal interface over a guest with a busy workload
    Demo(demo::Demo),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = cleanup::install().and_then(|()| match cli.command {
        Task::BuildEbpf(args) => ebpf::run(&args).map(|()| ExitCode::SUCCESS),
        Task::Vm(args) => vm::run(&args),
        Task::Test(args) => test::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Demo(args) => demo::run(&args),
    });
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
