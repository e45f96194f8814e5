//! `cargo xtask bench`: what hvsock-top costs, in guest instructions, and what finding sockets does. The figures go into the documentation.

mod lookup;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::qemu::{Ending, Event, Guest};
use crate::vm::{self, Bed, Options};
use crate::{console, ebpf, kernels, paths};

/// How long a benchmark may take: counting instructions makes a guest slow.
const LIMIT: Duration = Duration::from_mins(30);

/// Where the figures are kept.
const FOLDER: &str = "docs/bench";

/// `cargo xtask bench`
#[derive(Debug, clap::Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Clone, clap::Subcommand)]
enum What {
    /// Instructions that probes add to a send, a callback, a receive, an open with its close: none, empty ones, ours
    Cost(Where),
    /// Instructions of a Snapshot, by the number of connections
    Snapshot(Where),
    /// What finding sockets costs: AF_HYPERV by list, hash and pointer, and hv_sock; in guest instructions and in times
    Lookup(lookup::Lookup),
}

#[derive(Debug, Clone, clap::Args)]
struct Where {
    /// Only this kernel of the matrix (repeatable)
    #[arg(long, value_parser = kernels::ids())]
    kernel: Vec<String>,
    /// Take the guest's binaries as they are, without building them
    #[arg(long)]
    no_build: bool,
    /// Show the figures, but do not write them down
    #[arg(long)]
    dry_run: bool,
}

/// Runs `cargo xtask bench`.
pub(crate) fn run(args: &Bench) -> Result<ExitCode> {
    let (name, place) = match &args.what {
        What::Cost(place) => ("cost", place),
        What::Snapshot(place) => ("snapshot", place),
        What::Lookup(args) => return lookup::run(args),
    };
    let options = Options { smp: 1, mem: 1024, icount: true, append: Vec::new(), no_build: place.no_build };
    vm::ready(&options)?;
    for kernel in place.kernels() {
        let bed = Bed::prepare(kernel)?;
        let output = boot(&bed, &options, &["guest", "bench", name])?;
        let command = format!("cargo xtask bench {name} --kernel {kernel}");
        let report = report::make(name, &command, bed.release(), &output)?;
        print!("{}", report::table(&report)?);
        if place.dry_run {
            continue;
        }
        write(&format!("{FOLDER}/{name}-{kernel}.json"), &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    Ok(ExitCode::SUCCESS)
}

impl Where {
    /// The kernels to measure on.
    fn kernels(&self) -> impl Iterator<Item = &'static str> {
        let wanted = |id: &&str| self.kernel.is_empty() || self.kernel.iter().any(|k| k == id);
        kernels::KERNELS.iter().map(|k| k.id).filter(wanted)
    }
}

/// Writes a file of the workspace, whole or not at all.
fn write(name: &str, text: &str) -> Result<()> {
    let file = paths::workspace().join(name);
    std::fs::create_dir_all(file.parent().context("a file without a folder")?)?;
    ebpf::write_atomically(&file, text.as_bytes())?;
    println!("{name} written\n");
    Ok(())
}

/// Runs one benchmark in a guest of its own, and gives what it said.
fn boot(bed: &Bed, options: &Options, command: &[&str]) -> Result<String> {
    let name = command.join(" ");
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    let mut guest = Guest::start(&bed.machine(options, &command, &[])?)?;
    let (mut output, mut console) = (Vec::new(), Vec::new());
    let deadline = Instant::now() + LIMIT;
    let ending = loop {
        match guest.next(deadline)? {
            Event::Output(bytes) => output.extend(bytes),
            Event::Console(line) => console.push(line),
            Event::Ended(ending) => break ending,
            Event::Deadline => break Ending::Broken(format!("time-out: not done after {LIMIT:?}")),
        }
    };
    if ending != Ending::Exit(0) {
        bail!("the benchmark `{name}` failed: {ending:?}\n{}", console::tail(&console).join("\n"));
    }
    String::from_utf8(output).context("the guest says what is no text")
}
