//! `hvsock-top json`: Snapshots on stdout, one object a line, each written whole and flushed.

use std::io::{self, ErrorKind, Write};

use super::{
    Failure,
    args::{JsonArgs, LiveArgs},
    least,
    log::KernelLog,
    signals::{Stop, Ticks},
};
use crate::{
    collect::Live,
    findings::Judged,
    model::{Snapshot, Source as _},
};

pub(super) fn run(args: &JsonArgs, live: &LiveArgs) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let mut source = Live::attach(&live.options())?;
    let mut log = KernelLog::begin(&mut source, live.verbose);
    least::reduce(&mut source, live.verbose);
    let mut source = Judged::new(source, args.judge.limits());
    let count = if args.once { Some(1) } else { args.count };
    let mut ticks = Ticks::new(args.interval);
    let mut done = 0;
    while !stop.is_asked() {
        let Some(snapshot) = source.snapshot()? else { break };
        log.follow(&mut source.source);
        match write(&snapshot, args.pretty) {
            Ok(()) => {}
            // Whoever read us has had enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::output(&error)),
        }
        done += 1;
        if Some(done) == count || !stop.sleep_until(ticks.next()) {
            break;
        }
    }
    log.follow(&mut source.source);
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
