//! `cargo xtask bench lookup`: the experiment with the lookups. The guest measures, hvsock-top checks and makes the report.

use std::io::Write as _;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use super::Where;
use crate::vm::{self, Bed, Options};
use crate::{exec, initramfs};

/// Where the reports are kept.
const FOLDER: &str = "docs/lookup";

/// Memory of the guest, MiB: 1,900 connections take less than half of it.
const MEMORY: u32 = 2048;

/// Options of `bench lookup`.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Lookup {
    #[command(flatten)]
    place: Where,
    /// Fewer and smaller cells; nothing is written down
    #[arg(long)]
    quick: bool,
    /// Count only this (repeatable); without it both
    #[arg(long, value_enum)]
    unit: Vec<Unit>,
}

/// What the guest's clock counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Unit {
    Instructions,
    Nanoseconds,
}

impl Unit {
    const ALL: [Self; 2] = [Self::Instructions, Self::Nanoseconds];

    const fn name(self) -> &'static str {
        match self {
            Self::Instructions => "instructions",
            Self::Nanoseconds => "nanoseconds",
        }
    }

    const fn qemu(self) -> &'static str {
        match self {
            Self::Instructions => "-accel tcg,thread=single -icount shift=0,sleep=off",
            Self::Nanoseconds => "-accel tcg,thread=single",
        }
    }
}

/// Runs `cargo xtask bench lookup`.
pub(super) fn run(args: &Lookup) -> Result<ExitCode> {
    let options = |unit| Options {
        smp: 1,
        mem: MEMORY,
        icount: unit == Unit::Instructions,
        append: Vec::new(),
        no_build: args.place.no_build,
    };
    vm::ready(&options(Unit::Instructions))?;
    let units: Vec<_> =
        Unit::ALL.into_iter().filter(|u| args.unit.is_empty() || args.unit.contains(u)).collect();
    let qemu_version = exec::text(Command::new("qemu-system-x86_64").arg("--version"))?;
    let qemu_version = qemu_version.lines().next().unwrap_or_default();
    for kernel in args.place.kernels() {
        let bed = Bed::prepare(kernel)?;
        let mut command = format!("cargo xtask bench lookup --kernel {kernel}");
        if args.quick {
            command += " --quick";
        }
        for unit in &args.unit {
            command.extend([" --unit ", unit.name()]);
        }
        let guests: Vec<_> = units
            .iter()
            .map(|unit| {
                json!({
                    "unit": unit.name(), "memory_mib": MEMORY, "cpus": 1, "qemu": unit.qemu(),
                    "qemu_version": qemu_version,
                })
            })
            .collect();
        let heading =
            json!({ "command": command, "kernel": bed.release(), "quick": args.quick, "guests": guests });
        let mut said = json!({ "heading": heading }).to_string() + "\n";
        for unit in &units {
            let mut words = vec!["guest", "bench", "lookup", "--unit", unit.name()];
            words.extend(args.quick.then_some("--quick"));
            said += &super::boot(&bed, &options(*unit), &words)?;
        }
        let report = report(&said)?;
        println!("{kernel}: {}", summary(&report)?);
        if !args.place.dry_run && !args.quick {
            super::write(&format!("{FOLDER}/experiment-{kernel}.json"), &report)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What hvsock-top makes of it. The guest's binary is static, so this machine can run it too.
fn report(said: &str) -> Result<String> {
    let mut command = Command::new(initramfs::binary("hvsock-top"));
    command.args(["lookup", "experiment"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().context("cannot start hvsock-top")?;
    let mut input = child.stdin.take().context("no input")?;
    let said = said.to_owned();
    // It prints only when it has read all; but should it end early, nobody waits for ever.
    let writer = thread::spawn(move || input.write_all(said.as_bytes()));
    let output = child.wait_with_output().context("hvsock-top was lost")?;
    let _ = writer.join();
    ensure!(output.status.success(), "hvsock-top takes it for no good experiment: {}", output.status);
    String::from_utf8(output.stdout).context("hvsock-top says what is no text")
}

/// The predictions, each with what was found.
fn summary(report: &str) -> Result<String> {
    let report: Value = serde_json::from_str(report)?;
    let count = |name: &str| report[name].as_array().map_or(0, Vec::len);
    let (opens, bursts, contention) = (count("opens"), count("bursts"), count("contention"));
    let mut lines = vec![format!("{opens} opens, {bursts} bursts, {contention} of contention")];
    lines.extend(report["checks"].as_array().into_iter().flatten().map(|check| {
        let word = |name: &str| check[name].as_str().unwrap_or_default();
        format!("  {}: {}", word("expected"), word("found"))
    }));
    Ok(lines.join("\n") + "\n")
}
