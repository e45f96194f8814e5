//! `hvsock-top record`: Snapshots and events into a file, until told to stop or while a command runs.

use std::{
    ffi::OsString,
    io::{self, IsTerminal as _, Write as _},
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use caps::Capability;
use clap::Args;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{
    Failure,
    judging::{JudgeArgs, Judging},
    least,
    live::{LiveArgs, interval},
    log::KernelLog,
    signals::{Stop, Ticks},
    workload::Workload,
};
use crate::{
    collect::{Events, Live},
    kernel,
    model::{EventKind, Snapshot, Source as _},
    record::{End, Header, Output, OutputError, SMALLEST_RING, Writer},
};

/// Options of `record`.
#[derive(Args, Debug)]
pub(super) struct RecordArgs {
    /// The file to make; - is stdout
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Time between Snapshots, such as 1s or 200ms
    #[arg(long, default_value = "1s", value_parser = interval)]
    interval: Duration,
    /// Never take more room on the disk than this, such as 64M; the oldest part goes first
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_size: Option<u64>,
    /// Overwrite the file if there is one
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    judge: JudgeArgs,
    /// Record while this command runs, and end with its exit status
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// How long to wait for events before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long to leave events together, so that a burst is read in one go.
const BURST: Duration = Duration::from_millis(20);
/// Events are on the disk after this time at the latest, however far apart Snapshots are.
const OVERDUE: Duration = Duration::from_secs(1);

pub(super) fn run(args: &RecordArgs, live: &LiveArgs) -> Result<ExitCode, Failure> {
    // What can be refused is refused before anything is attached.
    let (output, stays) = open(args)?;
    // Before there are threads, and with the privileges that the user gave us.
    let mut workload = match args.command.as_slice() {
        [] => None,
        command => Some(Workload::prepare(command)?),
    };
    let stop = Stop::listen()?;
    let recorded = attach(live, stays, args.judge.judging())
        .and_then(|watched| record(args, watched, output, &stop, workload.as_mut()));
    let failure = match recorded {
        Ok(()) => None,
        // The command goes on, so whoever waits for it is told now.
        Err(failure) if workload.as_ref().is_some_and(Workload::is_running) => Some(failure.report()),
        Err(failure) => return Err(failure),
    };
    let status = workload.map(|mut workload| workload.wait(&stop)).transpose()?;
    Ok(failure.unwrap_or_else(|| ExitCode::from(status.unwrap_or(0))))
}

/// The file, and what must stay at hand so that a bounded one can be renewed in its folder.
fn open(args: &RecordArgs) -> Result<(Output, &'static [Capability]), Failure> {
    if args.output == Path::new("-") {
        let refuse = |what: &str, remedy: &str| Err(Failure::senseless(what, remedy));
        if args.max_size.is_some() {
            return refuse(
                "nothing can be taken back from stdout, so it cannot be bounded",
                "leave out --max-size, or give -o the name of a file",
            );
        }
        if !args.command.is_empty() {
            return refuse(
                "the command's output and the recording would both go to stdout",
                "give -o the name of a file",
            );
        }
        if io::stdout().is_terminal() {
            return refuse(
                "a recording is not made for a terminal to show",
                "give -o the name of a file, or use `hvsock-top json`",
            );
        }
        return Ok((Output::stream(io::stdout(), "stdout"), &[]));
    }
    let mut output = kernel::on_behalf_of_user(|| Output::create(&args.output, args.force, args.max_size))?;
    // The folder must be writable later on, when privileges have been given up.
    let Err(without) = kernel::without_capabilities(|| output.try_folder()) else { return Ok((output, &[])) };
    kernel::on_behalf_of_user(|| output.try_folder()).map_err(|_| folder(&args.output, &without))?;
    output.with(|work| kernel::with_permitted(work));
    Ok((output, &[Capability::CAP_DAC_OVERRIDE]))
}

fn folder(path: &Path, error: &io::Error) -> OutputError {
    OutputError {
        what: format!("a bounded recording makes files beside {}, and cannot: {error}", path.display()),
        remedy: "choose a folder that you may write to, or leave out --max-size".to_owned(),
    }
}

/// The kernel, watched.
struct Watched {
    source: Live,
    events: Events,
    log: KernelLog,
    judging: Judging,
}

impl Watched {
    fn snapshot(&mut self) -> Result<Snapshot, Failure> {
        let snapshot = self.source.snapshot()?;
        self.log.follow(&mut self.source);
        let mut snapshot = snapshot.ok_or_else(|| anyhow::anyhow!("the kernel has no more Snapshots"))?;
        // What is wrong is found now, with all that came before; a bounded recording loses that.
        self.judging.judge(&mut snapshot);
        Ok(snapshot)
    }
}

fn attach(live: &LiveArgs, stays: &[Capability], judging: Judging) -> Result<Watched, Failure> {
    let mut options = live.options();
    options.events = true;
    let mut source = Live::attach(&options)?;
    let log = KernelLog::begin(&mut source, live.verbose);
    let events = Events::new(&mut source)?;
    least::reduce_but(&mut source, stays, live.verbose);
    Ok(Watched { source, events, log, judging })
}

/// From the first Snapshot, before the command begins, to the last, after it has ended.
fn record(
    args: &RecordArgs,
    mut watched: Watched,
    output: Output,
    stop: &Stop,
    mut workload: Option<&mut Workload>,
) -> Result<(), Failure> {
    let first = watched.snapshot()?;
    if let Some(workload) = &mut workload {
        workload.start()?;
    }
    let command: Vec<_> = args.command.iter().map(|a| a.to_string_lossy().into_owned()).collect();
    let command = (!command.is_empty()).then_some(command);
    let interval_ns = u64::try_from(args.interval.as_nanos()).unwrap_or(u64::MAX);
    let mut writer = Writer::begin(output, Header::new(&first, interval_ns, command))?;
    writer.snapshot(&first)?;

    let mut lost = 0;
    let mut ticks = Ticks::new(args.interval);
    let mut due = ticks.next();
    let mut flushed = Instant::now();
    loop {
        wait(&watched.events, workload.as_deref(), due)?;
        let some = take(&mut watched, &mut writer, &mut lost)?;
        match (workload.as_deref_mut(), stop.asked()) {
            (None, Some(_)) => break,
            (Some(workload), asked) => {
                if workload.has_ended()? {
                    break;
                }
                workload.pass_on(asked);
            }
            (None, None) => {}
        }
        let now = Instant::now();
        if now >= due {
            let snapshot = watched.snapshot()?;
            writer.snapshot(&snapshot)?;
            due = ticks.next().max(now + Duration::from_millis(1));
            flushed = now;
        } else if now - flushed >= OVERDUE {
            writer.flush()?;
            flushed = now;
        }
        if some {
            thread::sleep(BURST.min(due.saturating_duration_since(now)));
        }
    }
    take(&mut watched, &mut writer, &mut lost)?;
    let newest = watched.snapshot()?;
    writer.snapshot(&newest)?;
    let counts = writer.written();
    let bytes = writer.end(&End {
        time: newest.time,
        snapshots: counts.snapshots,
        events: counts.events,
        lost,
        exit_status: workload.and_then(|w| w.status()),
    })?;
    let seconds = newest.uptime_ns.saturating_sub(first.uptime_ns) as f64 / 1e9;
    let size = bytes.map_or_else(String::new, |n| format!(", {n} bytes"));
    let lost = if lost > 0 {
        format!(" ({lost} more events were lost; totals are not affected)")
    } else {
        String::new()
    };
    let _ = writeln!(
        io::stderr(),
        "hvsock-top: recorded {} Snapshots and {} events in {seconds:.1} s{size} to {}{lost}",
        counts.snapshots,
        counts.events,
        writer.name(),
    );
    Ok(())
}

/// Waits for events, for the command to end, or until it is time to look at the rest.
fn wait(events: &Events, workload: Option<&Workload>, due: Instant) -> Result<(), Failure> {
    let patience = PATIENCE.min(due.saturating_duration_since(Instant::now()));
    let timeout = Timespec { tv_sec: 0, tv_nsec: patience.subsec_nanos().into() };
    let mut fds = vec![PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN)];
    if let Some(workload) = workload {
        fds.push(PollFd::from_borrowed_fd(workload.as_fd(), PollFlags::IN));
    }
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(anyhow::Error::from(error).context("waiting for events failed").into()),
    }
}

/// Takes the events there are; says whether there were any.
fn take(watched: &mut Watched, writer: &mut Writer, lost: &mut u64) -> Result<bool, Failure> {
    let events = watched.events.drain(&mut watched.source)?;
    for event in &events {
        if event.event == EventKind::Lost {
            *lost += event.lost.unwrap_or(0);
        }
        writer.event(event)?;
    }
    Ok(!events.is_empty())
}

/// A number of bytes, with K, M or G for powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let malformed = || "not a size; write it like 500000, 64K, 10M or 1G".to_owned();
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor: u64 = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        _ => return Err(malformed()),
    };
    let number: u64 = digits.parse().map_err(|_| malformed())?;
    let bytes = number.checked_mul(factor).ok_or_else(malformed)?;
    if bytes < SMALLEST_RING {
        return Err(format!("a recording needs at least {}K", SMALLEST_RING >> 10));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_a_least() {
        assert_eq!(size("64K"), Ok(65_536));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("2g"), Ok(2 << 30));
        assert_eq!(size("100000"), Ok(100_000));
        for bad in ["", "K", "63K", "0", "-1M", "1.5M", "1T", "10 M", "99999999999G", "ä"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
