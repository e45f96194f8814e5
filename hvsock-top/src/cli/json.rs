//! `hvsock-top json`: Snapshots on stdout, one object a line, each written whole and flushed.

use std::{
    io::{self, ErrorKind, Write},
    time::Duration,
};

use super::{Failure, args::JsonArgs, input::Input, judging::Judging, live::LiveArgs, signals::Stop};
use crate::model::Snapshot;

/// Between Snapshots, where nothing else is said.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(args: &JsonArgs, live: &LiveArgs) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let input = Input::open(&args.from.origin(live), args.interval)?;
    let count = if args.once { Some(1) } else { args.count };
    print(input, args.judge.judging(), &stop, count, args.pretty)
}

/// Prints `count` Snapshots, or all there are until told to stop.
pub(super) fn print(
    mut input: Input,
    mut judging: Judging,
    stop: &Stop,
    count: Option<u64>,
    pretty: bool,
) -> Result<(), Failure> {
    let mut done = 0;
    while Some(done) != count {
        let Some(mut snapshot) = input.next(stop)? else { break };
        judging.judge(&mut snapshot);
        match write(&snapshot, pretty) {
            Ok(()) => {}
            // Whoever read us has had enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::output(&error)),
        }
        done += 1;
    }
    Ok(())
}

/// Writes one Snapshot with a single call, so that a line is never cut by our own end.
fn write(snapshot: &Snapshot, pretty: bool) -> io::Result<()> {
    let mut text = if pretty { serde_json::to_vec_pretty(snapshot) } else { serde_json::to_vec(snapshot) }?;
    text.push(b'\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(&text)?;
    stdout.flush()
}
