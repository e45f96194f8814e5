//! `cargo xtask bench`: what hvsock-top costs, in guest instructions. The figures go into the documentation.

mod report;

use std::path::PathBuf;
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
    };
    let options = Options { smp: 1, mem: 1024, icount: true, append: Vec::new(), no_build: place.no_build };
    vm::ready(&options)?;
    let wanted = |id: &str| place.kernel.is_empty() || place.kernel.iter().any(|k| k == id);
    for kernel in kernels::KERNELS.iter().map(|k| k.id).filter(|id| wanted(id)) {
        let bed = Bed::prepare(kernel)?;
        let output = boot(&bed, &options, name)?;
        let command = format!("cargo xtask bench {name} --kernel {kernel}");
        let report = report::make(name, &command, bed.release(), &output)?;
        print!("{}", report::table(&report)?);
        if place.dry_run {
            continue;
        }
        let file: PathBuf = paths::workspace().join(FOLDER).join(format!("{name}-{kernel}.json"));
        std::fs::create_dir_all(paths::workspace().join(FOLDER))?;
        ebpf::write_atomically(&file, (serde_json::to_string_pretty(&report)? + "\n").as_bytes())?;
        println!("{FOLDER}/{name}-{kernel}.json written\n");
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs one benchmark in a guest of its own, and gives what it said.
fn boot(bed: &Bed, options: &Options, name: &str) -> Result<String> {
    let command = ["guest", "bench", name].map(str::to_owned);
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
