//! `cargo xtask test`: every check there is, each counted.

use std::collections::VecDeque;
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::scenarios::{self, Group, Outcome};
use crate::vm::{self, Bed};
use crate::{deny, ebpf, exec, kernels, paths, prometheus, recipes, serial, setup};

/// The package that only the BPF target can test; the others run on this machine.
const EBPF_PACKAGE: &str = "hvsock-ebpf";

/// Guests that run side by side: each is one busy thread of emulation.
const GUESTS: usize = 2;

/// `cargo xtask test`
#[derive(Debug, clap::Args)]
pub(crate) struct Test {
    /// Only the scenario of this name, or `serial`, and nothing else (repeatable)
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Only this kernel of the matrix (repeatable)
    #[arg(long, value_parser = kernels::ids())]
    kernel: Vec<String>,
    /// Only what needs no guest
    #[arg(long, conflicts_with = "only")]
    quick: bool,
    #[command(flatten)]
    options: vm::Options,
}

/// Runs `cargo xtask test`.
pub(crate) fn run(args: &Test) -> Result<ExitCode> {
    let report = Report::default();
    if args.only.is_empty() {
        on_this_machine(&report)?;
    }
    if !args.quick {
        let started = Instant::now();
        if let Err(error) = in_guests(args, &report) {
            report.add("guests", &seconds(started), Some(&format!("{error:#}")));
        }
    }
    Ok(report.finish())
}

/// The checks that need no guest.
fn on_this_machine(report: &Report) -> Result<()> {
    setup::ensure(&[setup::RUST, setup::RECIPES])?;
    report.step("format", || exec::output(cargo().args(["fmt", "--all", "--check"])).map(drop));
    report.step("lints", || {
        let mut clippy = cargo();
        clippy.args([
            "clippy",
            "--quiet",
            "--locked",
            "--workspace",
            "--exclude",
            EBPF_PACKAGE,
            "--all-targets",
        ]);
        exec::output(clippy.args(["--", "-D", "warnings"])).map(drop)
    });
    // Built as the library and programs alone: the test harness has a panic handler of its own.
    report.step("lints of the eBPF programs", || {
        exec::output(cargo().args([
            "clippy",
            "--quiet",
            "--locked",
            "-p",
            EBPF_PACKAGE,
            "--",
            "-D",
            "warnings",
        ]))
        .map(drop)
    });
    unit_tests(report);
    report.step("recipes of the documentation", recipes::check);
    report.step("eBPF object", ebpf::check);
    report.step("metrics, alerts and recording rules", prometheus::check);
    report.step("licences and sources of dependencies", deny::check);
    let started = Instant::now();
    match deny::advisories() {
        Ok(true) => report.add("vulnerabilities of dependencies", &seconds(started), None),
        Ok(false) => {
            println!("skip vulnerabilities of dependencies: the advisory database cannot be fetched here");
        }
        Err(error) => {
            report.add("vulnerabilities of dependencies", &seconds(started), Some(&format!("{error:#}")));
        }
    }
    Ok(())
}

/// Runs the unit tests and counts each one.
fn unit_tests(report: &Report) {
    let started = Instant::now();
    let out = cargo()
        .args(["test", "--quiet", "--locked", "--no-fail-fast", "--workspace", "--exclude", EBPF_PACKAGE])
        .stdin(Stdio::null())
        .output();
    let out = match out.context("cannot start cargo") {
        Ok(out) => out,
        Err(error) => return report.add("unit tests", &seconds(started), Some(&format!("{error:#}"))),
    };
    let stdout = String::from_utf8_lossy(&out.stdout);
    let (passed, failed) = count_tests(&stdout);
    report.count(passed, failed);
    let fine = failed == 0 && out.status.success();
    println!("{} unit tests: {passed} passed, {failed} failed ({} s)", word(fine), seconds(started));
    if failed > 0 || !out.status.success() {
        println!("{stdout}{}", String::from_utf8_lossy(&out.stderr));
    }
    if failed == 0 && !out.status.success() {
        report.add("unit tests", "", Some("cargo test failed without a failed test: see above"));
    }
}

/// Adds up the lines `test result: ok. 3 passed; 0 failed; …`.
fn count_tests(text: &str) -> (usize, usize) {
    let mut sums = (0, 0);
    for line in text.lines().filter(|l| l.starts_with("test result: ")) {
        let number = |word: &str| -> usize {
            let before = line.split(word).next().unwrap_or_default();
            before.split_whitespace().next_back().and_then(|n| n.parse().ok()).unwrap_or(0)
        };
        sums.0 += number(" passed;");
        sums.1 += number(" failed;");
    }
    sums
}

/// The scenarios, on every kernel asked for, some guests side by side.
fn in_guests(args: &Test, report: &Report) -> Result<()> {
    vm::ready(&args.options)?;
    let all = scenarios::list()?;
    for name in &args.only {
        let mut known = all.iter().map(|s| s.name.as_str()).chain([serial::NAME]);
        known.clone().find(|its| its == name).with_context(|| {
            let known: Vec<_> = known.by_ref().collect();
            format!("no scenario {name}; there are {}", known.join(", "))
        })?;
    }
    let mut beds = Vec::new();
    let mut jobs = Vec::new();
    for kernel in
        kernels::KERNELS.iter().filter(|k| args.kernel.is_empty() || args.kernel.iter().any(|n| n == k.id))
    {
        let of_kernel = scenarios::group(kernel.id, &all, &args.only);
        match Bed::prepare(kernel.id) {
            Ok(bed) => {
                jobs.extend(of_kernel.into_iter().map(|group| Job::Scenarios(beds.len(), group)));
                if args.only.is_empty() || args.only.iter().any(|name| name == serial::NAME) {
                    jobs.push(Job::Serial(kernel.id));
                }
                beds.push(bed);
            }
            // The other kernels can still be tested.
            Err(error) => report.add(&format!("kernel {}", kernel.id), "", Some(&format!("{error:#}"))),
        }
    }
    jobs.sort_by_key(|job| std::cmp::Reverse(job.weight()));
    let queue: Mutex<VecDeque<Job>> = Mutex::new(jobs.into());
    std::thread::scope(|scope| {
        for _ in 0..GUESTS {
            // A guest dies with the thread that started it, so each one is waited for by its own.
            scope.spawn(|| {
                loop {
                    let Some(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                        break;
                    };
                    job.run(&beds, &args.options, report);
                }
            });
        }
    });
    Ok(())
}

/// What one guest does from its boot to its end.
#[derive(Debug)]
enum Job {
    /// Scenarios that want the same machine, on the bed of that number.
    Scenarios(usize, Group),
    /// The terminal interface over the serial line, on that kernel.
    Serial(&'static str),
}

impl Job {
    /// The most this can take: what to start first when guests run side by side.
    fn weight(&self) -> u64 {
        match self {
            Self::Scenarios(_, group) => group.weight(),
            Self::Serial(_) => serial::WEIGHT,
        }
    }

    fn run(&self, beds: &[Bed], options: &vm::Options, report: &Report) {
        let (bed, group) = match self {
            Self::Scenarios(bed, group) => (&beds[*bed], group),
            Self::Serial(kernel) => {
                return report.step(&format!("{kernel} {}", serial::NAME), || serial::run(kernel));
            }
        };
        let mut one = |outcome: Outcome| {
            let name = format!("{} {}", group.kernel, outcome.name);
            report.add(&name, &outcome.seconds, outcome.failure.map(|f| f.join("\n")).as_deref());
        };
        if let Err(error) = group.run(bed, options, &mut one) {
            report.add(&format!("{} guest", group.kernel), "", Some(&format!("{error:#}")));
        }
    }
}

fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    exec::without_cargo_env(&mut cargo)
        .current_dir(paths::workspace())
        .env("CARGO_TARGET_DIR", paths::target());
    cargo
}

fn seconds(since: Instant) -> String {
    format!("{:.1}", since.elapsed().as_secs_f64())
}

fn word(fine: bool) -> &'static str {
    if fine { "pass" } else { "FAIL" }
}

/// Counts and prints results as they come.
#[derive(Debug, Default)]
struct Report {
    counts: Mutex<(usize, usize)>,
}

impl Report {
    /// Runs one check.
    fn step(&self, name: &str, check: impl FnOnce() -> Result<()>) {
        let started = Instant::now();
        let result = check();
        self.add(name, &seconds(started), result.err().map(|e| format!("{e:#}")).as_deref());
    }

    /// Adds one result and prints it.
    fn add(&self, name: &str, seconds: &str, failure: Option<&str>) {
        // Under the lock, so that the lines of two guests do not mix.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let time = if seconds.is_empty() { String::new() } else { format!(" ({seconds} s)") };
        println!("{} {name}{time}", word(failure.is_none()));
        for line in failure.unwrap_or_default().lines() {
            println!("     {line}");
        }
        if failure.is_none() {
            counts.0 += 1;
        } else {
            counts.1 += 1;
        }
    }

    fn count(&self, passed: usize, failed: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.0 += passed;
        counts.1 += failed;
    }

    /// Prints the sums as the last line.
    fn finish(self) -> ExitCode {
        let (passed, failed) = self.counts.into_inner().unwrap_or_else(PoisonError::into_inner);
        println!("{passed} passed, {failed} failed");
        // Nothing checked is nothing proved.
        if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_from_every_harness() {
        let text = "\nrunning 3 tests\n...\ntest result: ok. 3 passed; 0 failed; 0 ignored; 0 measured\n\
                    test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured\nrunning 0 tests\n\
                    test result: ok. 0 passed; 0 failed; 1 ignored\n";
        assert_eq!(count_tests(text), (4, 2));
        assert_eq!(count_tests("error: could not compile"), (0, 0));
    }
}
