//! `cargo xtask vm`: runs one command in a guest.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::qemu::{Ending, Event, Guest, Machine};
use crate::{console, fetch, initramfs, kernels, setup, terminal};

/// `cargo xtask vm`
#[derive(Debug, clap::Args)]
pub(crate) struct Vm {
    /// The kernel, of those in the matrix
    #[arg(long, default_value = kernels::DEFAULT, value_parser = kernels::ids())]
    kernel: String,
    #[command(flatten)]
    options: Options,
    /// Put this file into the guest's /bin (repeatable)
    #[arg(long = "file", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Do not load the Hyper-V modules
    #[arg(long)]
    nomod: bool,
    /// End the run after so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Give the command this terminal; Ctrl-] ends the guest
    #[arg(long)]
    tty: bool,
    /// Join the guest's console, with what is typed there, to the Unix socket at PATH
    #[arg(long, value_name = "PATH", requires = "tty")]
    console: Option<PathBuf>,
    /// Show the console on standard error while it runs
    #[arg(long, short)]
    verbose: bool,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

/// How to boot, for every command that boots guests.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Options {
    /// The number of virtual CPUs
    #[arg(long, default_value_t = 1)]
    pub(crate) smp: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 1024, value_name = "MIB")]
    pub(crate) mem: u32,
    /// Let guest time count instructions, so that measurements repeat on any machine
    #[arg(long)]
    pub(crate) icount: bool,
    /// More words for the kernel's command line (repeatable)
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) append: Vec<String>,
    /// Take the guest's binaries as they are, without building them
    #[arg(long)]
    pub(crate) no_build: bool,
}

/// A kernel and the file tree for it, ready to boot any number of times.
#[derive(Debug, Clone)]
pub(crate) struct Bed {
    kernel: fetch::Prepared,
    base: Arc<Vec<u8>>,
}

impl Bed {
    /// Fetches and builds whatever is needed to boot kernel `id`. The guest's binaries must have been built.
    pub(crate) fn prepare(id: &str) -> Result<Self> {
        let kernel = fetch::prepare(kernels::find(id)?)?;
        let base = Arc::new(initramfs::base(&kernel)?);
        Ok(Self { kernel, base })
    }

    /// The exact kernel.
    pub(crate) fn release(&self) -> &str {
        &self.kernel.key
    }

    /// A machine that runs `command`.
    pub(crate) fn machine(
        &self,
        options: &Options,
        command: &[String],
        files: &[PathBuf],
    ) -> Result<Machine> {
        Ok(Machine {
            kernel: self.kernel.vmlinux(),
            initramfs: vec![self.base.clone(), Arc::new(initramfs::per_run(command, files)?)],
            smp: options.smp,
            memory: options.mem,
            icount: options.icount,
            append: options.append.clone(),
        })
    }
}

/// Sees to it that guests can be booted: programs, and unless told otherwise the guest's binaries.
pub(crate) fn ready(options: &Options) -> Result<()> {
    setup::ensure(&[setup::VM, setup::KERNEL])?;
    if options.no_build { Ok(()) } else { initramfs::build_binaries() }
}

/// Runs `cargo xtask vm`.
pub(crate) fn run(args: &Vm) -> Result<ExitCode> {
    if args.tty {
        terminal::required()?;
    }
    ready(&args.options)?;
    let bed = Bed::prepare(&args.kernel)?;
    let mut machine = bed.machine(&args.options, &args.command, &args.files)?;
    if args.nomod {
        machine.append.push("hv.nomod=1".to_owned());
    }
    if args.tty {
        return terminal::run(machine, None, args.console.as_deref());
    }
    let mut guest = Guest::start(&machine)?;
    let mut console = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(args.timeout);
    let mut stdout = std::io::stdout().lock();
    let ending = loop {
        match guest.next(deadline)? {
            Event::Output(bytes) => {
                stdout.write_all(&bytes).and_then(|()| stdout.flush()).context("cannot write the output")?;
            }
            Event::Console(line) => {
                if args.verbose {
                    eprintln!("{line}");
                }
                console.push(line);
            }
            Event::Ended(ending) => break ending,
            Event::Deadline => break Ending::Broken(format!("time-out: not done after {} s", args.timeout)),
        }
    };
    drop(guest);
    if ending != Ending::Exit(0) && !args.verbose {
        show_tail(&console);
    }
    Ok(ending.report())
}

/// Shows the console's last lines.
fn show_tail(console: &[String]) {
    for line in console::tail(console) {
        eprintln!("{line}");
    }
}
