//! `hvsock-top lookup lab`: the laboratory.

use std::{
    io::{self, IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT};

use super::{pending::Pending, print, text_lab};
use crate::{
    cli::{Failure, signals::Stop},
    lookup::{
        lab::{self, LabError, LabReport, MAX_SOCKETS, Observer, Options},
        plot,
    },
};

const SIZES: [u32; 12] = [1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384];
const ROUNDS: u32 = 51;
const SEED: u64 = 2016;

/// Options of `lookup lab`.
#[derive(Args, Debug)]
pub(super) struct LabArgs {
    /// Numbers of sockets, separated by commas, each from 1 to 16384
    #[arg(
        long,
        value_delimiter = ',',
        value_name = "N,…",
        default_values_t = SIZES,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_SOCKETS)),
    )]
    sizes: Vec<u32>,
    /// How often each measurement is made
    #[arg(long, default_value_t = ROUNDS, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    rounds: u32,
    /// What the sockets, their places and the lookups are drawn from
    #[arg(long, default_value_t = SEED)]
    seed: u64,
    /// Print the report as JSON, one object
    #[arg(long)]
    json: bool,
    /// Draw the report into this file too
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Print the JSON Schema of the report instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

/// Measures, and prints what came out; also when it was stopped half way.
pub(super) fn run(args: &LabArgs) -> Result<ExitCode, Failure> {
    let drawing = args.plot.as_deref().map(Pending::new).transpose()?;
    let mut sizes = args.sizes.clone();
    sizes.sort_unstable();
    sizes.dedup();
    let report = measure(&Options { sizes, rounds: args.rounds, seed: args.seed })?;
    let printed = if args.json {
        serde_json::to_string(&report).map(|text| text + "\n").map_err(anyhow::Error::from)?
    } else {
        text_lab::lab(&report)
    };
    print(&printed)?;
    if let Some(drawing) = drawing {
        drawing.write(&plot::lab(&report).map_err(anyhow::Error::msg)?)?;
    }
    judged(&report)
}

/// What is measured when nobody says what.
pub(super) fn defaults() -> Options {
    Options { sizes: SIZES.to_vec(), rounds: ROUNDS, seed: SEED }
}

/// Measures, until it is done or somebody says stop.
pub(super) fn measure(options: &Options) -> Result<LabReport, Failure> {
    let mut listener = Listener { stop: Stop::listen()?, progress: io::stderr().is_terminal() };
    let report = lab::run(options, &mut listener);
    listener.clear();
    Ok(report?)
}

/// Bad news of a report that has been given out.
pub(super) fn judged(report: &LabReport) -> Result<ExitCode, Failure> {
    if !report.complete {
        let signal = report.stopped_by.as_deref().unwrap_or("something");
        return Err(Failure::new(
            format!("stopped by {signal}: the report is whole as far as it goes, and marked as not complete"),
            "run it to the end, or ask for fewer --sizes or --rounds",
        ));
    }
    if !report.is_exact() {
        return Err(Failure::new(
            "lookups did not visit the nodes that theory says, so their times mean nothing",
            "please report this with the output of --json",
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// Somebody at a terminal, perhaps.
struct Listener {
    stop: Stop,
    progress: bool,
}

impl Listener {
    fn clear(&self) {
        if self.progress {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}

impl Observer for Listener {
    fn stop(&mut self) -> Option<String> {
        let asked = self.stop.asked()?;
        Some(match asked.signal {
            SIGINT => "SIGINT".to_owned(),
            SIGHUP => "SIGHUP".to_owned(),
            _ => "SIGTERM".to_owned(),
        })
    }

    fn progress(&mut self, what: &str, done: usize, all: usize) {
        if self.progress {
            let _ = write!(io::stderr(), "\r\x1b[K{done} of {all}: {what}");
        }
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        let (what, remedy) = (error.to_string(), error.remedy());
        if error.is_privilege() { Self::privilege(what, remedy) } else { Self::blind(what, remedy) }
    }
}
