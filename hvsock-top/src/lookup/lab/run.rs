//! The run of the laboratory: every structure at every size, small sizes first, so that what there is when it is stopped is whole.

use super::{
    Cache, Fixed, Kind, LabError, LabReport, Structure,
    cache::Emptier,
    fit,
    kernel::Kernel,
    machine,
    measure::{Bench, Subject},
    population::{Population, Random},
    structures,
};

/// Version of the report's format.
const SCHEMA: u32 = 1;

/// What is to be measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Numbers of sockets, each from 1 to [`super::MAX_SOCKETS`].
    pub sizes: Vec<u32>,
    /// Rounds per measurement, at least one.
    pub rounds: u32,
    /// What all choices at random are made from.
    pub seed: u64,
}

/// Who listens while the laboratory works.
pub trait Observer {
    /// Why to stop, if somebody said so. Asked before each round.
    fn stop(&mut self) -> Option<String>;
    /// What is done next, and how many of how many measurements are done.
    fn progress(&mut self, what: &str, done: usize, all: usize);
}

/// Measures. What was measured until told to stop is kept, and the report says that it is not all.
pub fn run(options: &Options, observer: &mut dyn Observer) -> Result<LabReport, LabError> {
    let _pinned = machine::Pinned::here();
    let mut kernel = Kernel::load()?;
    let mut report = LabReport {
        schema: SCHEMA,
        time: jiff::Timestamp::now().to_string(),
        complete: false,
        stopped_by: None,
        machine: machine::describe(),
        seed: options.seed,
        sizes: options.sizes.clone(),
        node_bytes: size_of::<hvsock_common::LabNode>() as u64,
        memory_bytes: kernel.memory.bytes(),
        fixed: Fixed::default(),
        cells: Vec::new(),
        fits: Vec::new(),
    };
    report.machine.jit = kernel.jit;
    let all = options.sizes.len() * Structure::ALL.len() * Kind::ALL.len() * Cache::ALL.len();
    let mut random = Random::new(options.seed);
    let emptier = Emptier::new();
    let mut stopped = None;
    observer.progress("the fixed cost", 0, all);
    let fixed = bench(&mut kernel, &emptier, &mut random, options, &report, &mut || {
        stopped = observer.stop();
        stopped.is_some()
    })
    .fixed()?;
    if let Some(fixed) = fixed {
        report.fixed = fixed;
        stopped = cells(&mut kernel, &emptier, &mut random, options, &mut report, observer)?;
    }
    report.complete = stopped.is_none();
    report.stopped_by = stopped;
    report.fits = fit::all(&report.cells);
    Ok(report)
}

fn bench<'a>(
    kernel: &'a mut Kernel,
    emptier: &'a Emptier,
    random: &'a mut Random,
    options: &Options,
    report: &LabReport,
    stop: &'a mut dyn FnMut() -> bool,
) -> Bench<'a> {
    Bench { kernel, emptier, random, stop, rounds: options.rounds, fixed: report.fixed }
}

/// All measurements. Why it was stopped, if it was.
fn cells(
    kernel: &mut Kernel,
    emptier: &Emptier,
    random: &mut Random,
    options: &Options,
    report: &mut LabReport,
    observer: &mut dyn Observer,
) -> Result<Option<String>, LabError> {
    let all = options.sizes.len() * Structure::ALL.len() * Kind::ALL.len() * Cache::ALL.len();
    for size in &options.sizes {
        let population = Population::new(*size, random);
        let addresses = structures::build(&mut kernel.memory, &population);
        for structure in Structure::ALL {
            let subject = Subject { structure, population: &population, addresses: &addresses };
            observer.progress(&format!("{}, {size} sockets", structure.label()), report.cells.len(), all);
            for kind in Kind::ALL {
                for cache in Cache::ALL {
                    let mut stopped = None;
                    let cell = bench(kernel, emptier, random, options, report, &mut || {
                        stopped = observer.stop();
                        stopped.is_some()
                    })
                    .cell(&subject, kind, cache)?;
                    match cell {
                        Some(cell) => report.cells.push(cell),
                        None => return Ok(stopped),
                    }
                }
            }
        }
    }
    Ok(None)
}
