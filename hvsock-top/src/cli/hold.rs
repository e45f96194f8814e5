//! `hvsock-top hold`, hidden: attaches the probes and does nothing more until told to stop. A measuring aid: nothing but the programs themselves
//! costs anything meanwhile, and with `--empty` they do nothing either.

use std::{
    collections::BTreeMap,
    io::{self, BufRead as _, Write as _},
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Failure, args::HoldArgs, live::LiveArgs, signals::Stop};
use crate::{collect::Live, kernel::Verdict, model::Source as _};

/// What is attached, and what that took.
#[derive(Serialize)]
struct Held {
    /// By event: how it is attached.
    probes: BTreeMap<&'static str, String>,
    /// By phase of the start: its time.
    start_ns: BTreeMap<&'static str, u64>,
    /// By map: the memory it takes, as the kernel counts it.
    maps_bytes: BTreeMap<String, u64>,
}

pub(super) fn run(args: &HoldArgs, live: &LiveArgs) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let mut options = live.options();
    options.empty = args.empty;
    let mut source = Live::attach(&options)?;
    let loaded = source.loaded();
    let active = |v: &&Verdict| v.is_active();
    let held = Held {
        probes: loaded
            .verdicts
            .iter()
            .filter(active)
            .map(|v| (v.hook.name(), format!("{:?}", v.how).to_lowercase()))
            .collect(),
        start_ns: loaded
            .timing
            .phases()
            .iter()
            .map(|(phase, time)| (*phase, time.as_nanos() as u64))
            .collect(),
        maps_bytes: loaded.map_memory(),
    };
    print(&held)?;
    if args.ask {
        return answer(&mut source);
    }
    while stop.sleep_until(Instant::now() + Duration::from_hours(1)) {}
    // What was counted meanwhile. Programs that do nothing count nothing, so there is nothing to be said of them.
    if !args.empty
        && let Some(snapshot) = source.snapshot()?
    {
        print(&snapshot)?;
    }
    Ok(())
}

/// Gives what was counted as often as somebody asks, and costs nothing in between.
fn answer(source: &mut Live) -> Result<(), Failure> {
    for line in io::stdin().lock().lines() {
        line.map_err(|error| {
            Failure::new(format!("cannot read what is asked: {error}"), "give it lines on stdin")
        })?;
        if let Some(mut snapshot) = source.snapshot()? {
            // With 2,000 connections they are nearly all of it, and nobody asks for them here.
            snapshot.connections.clear();
            print(&snapshot)?;
        }
    }
    Ok(())
}

fn print(value: &impl Serialize) -> Result<(), Failure> {
    let write = || -> io::Result<()> {
        let mut text = serde_json::to_vec(value)?;
        text.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&text)?;
        stdout.flush()
    };
    write().map_err(|error| Failure::output(&error))
}
