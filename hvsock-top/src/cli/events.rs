//! `hvsock-top events`: one line per lifecycle event, as it happens.

use std::{
    io::{self, ErrorKind, Write},
    time::{Duration, Instant},
};

use super::{
    Failure, args::EventsArgs, input::open_recording, least, live::LiveArgs, log::KernelLog, signals::Stop,
};
use crate::{
    collect::{Events, Live},
    model::{Direction, EventKind, LifecycleEvent},
    record::Record,
};

/// How long to wait for events before looking whether to stop.
const PATIENCE: Duration = Duration::from_millis(100);

pub(super) fn run(args: &EventsArgs, live: &LiveArgs) -> Result<(), Failure> {
    let stop = Stop::listen()?;
    let mut printer = Printer { json: args.json, left: args.count };
    match &args.from.replay {
        None => watch(&stop, live, &mut printer),
        Some(path) => {
            let mut replay = open_recording(path)?;
            printer.begin();
            while !stop.is_asked()
                && let Some(record) = replay.record()?
            {
                if let Record::Event(event) = record
                    && !printer.print(&event)?
                {
                    break;
                }
            }
            Ok(())
        }
    }
}

fn watch(stop: &Stop, live: &LiveArgs, printer: &mut Printer) -> Result<(), Failure> {
    let mut options = live.options();
    options.events = true;
    options.without_tables = true;
    let mut source = Live::attach(&options)?;
    let mut log = KernelLog::begin(&mut source, live.verbose);
    let mut events = Events::new(&mut source)?;
    least::reduce(&mut source, live.verbose);
    printer.begin();
    while !stop.is_asked() {
        events.wait(PATIENCE)?;
        let began = Instant::now();
        for event in events.drain(&mut source)? {
            if !printer.print(&event)? {
                return Ok(());
            }
        }
        log.follow(&mut source);
        // A burst is read in one go, not one wake-up per event.
        if !stop.sleep_until(began + Duration::from_millis(20)) {
            break;
        }
    }
    Ok(())
}

/// Prints events until there are enough.
struct Printer {
    json: bool,
    left: Option<u64>,
}

impl Printer {
    fn begin(&self) {
        if !self.json {
            let _ = writeln!(io::stderr(), "{}", heading());
        }
    }

    /// Prints one; false when nobody wants more.
    fn print(&mut self, event: &LifecycleEvent) -> Result<bool, Failure> {
        let text =
            if self.json { serde_json::to_string(event).map_err(anyhow::Error::from)? } else { line(event) };
        match write(&text) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(Failure::output(&error)),
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
        }
        Ok(self.left != Some(0))
    }
}

fn write(line: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(format!("{line}\n").as_bytes())?;
    stdout.flush()
}

fn heading() -> String {
    format!(
        "{:<24} {:<14} {:<9} {:>10} {:>10} {:>5} {:<22} {:>10}  {}",
        "TIME", "EVENT", "DIRECTION", "LOCAL", "REMOTE", "RELID", "PROCESS", "DURATION", "WHY"
    )
}

/// One event for people. Unknown is a dash.
fn line(event: &LifecycleEvent) -> String {
    if event.event == EventKind::Lost {
        return format!(
            "({} events lost: this reader was too slow; totals are not affected)",
            event.lost.unwrap_or(0)
        );
    }
    let dash = || "–".to_owned();
    let port = |port: Option<u32>| port.map_or_else(dash, |p| p.to_string());
    let process = match (&event.comm, event.pid) {
        (Some(comm), Some(pid)) => format!("{comm}[{pid}]"),
        (None, Some(pid)) => format!("[{pid}]"),
        _ => dash(),
    };
    let kind = match event.event {
        EventKind::Opened => "opened",
        EventKind::OpenFailed => "open failed",
        EventKind::Accepted => "accepted",
        EventKind::Closed => "closed",
        EventKind::ConnectFailed => "connect failed",
        EventKind::Lost => "lost",
    };
    let direction = match event.direction {
        Some(Direction::FromHost) => "from host",
        Some(Direction::ToHost) => "to host",
        None => "–",
    };
    let mut tail = event.why.clone().unwrap_or_default();
    if let (Some(tx), Some(rx)) = (event.tx_bytes, event.rx_bytes) {
        tail = format!("{tail} sent {tx} received {rx}");
    }
    if let Some(unread) = event.unread_bytes.filter(|unread| *unread > 0) {
        tail = format!("{tail} unread {unread}");
    }
    if let Some(errno) = event.errno {
        tail = format!("{tail} errno {errno} ({})", io::Error::from_raw_os_error(errno as i32));
    }
    format!(
        "{:<24} {kind:<14} {direction:<9} {:>10} {:>10} {:>5} {process:<22} {:>10}  {}",
        event.time.as_deref().unwrap_or("–"),
        port(event.local_port),
        port(event.remote_port),
        port(event.relid),
        event.duration_ns.map_or_else(dash, duration),
        tail.trim(),
    )
    .trim_end()
    .to_owned()
}

/// A duration as people read it, four significant digits at most.
fn duration(ns: u64) -> String {
    let ns = ns as f64;
    if ns < 1e3 {
        format!("{ns} ns")
    } else if ns < 1e6 {
        format!("{:.1} µs", ns / 1e3)
    } else if ns < 1e9 {
        format!("{:.1} ms", ns / 1e6)
    } else {
        format!("{:.2} s", ns / 1e9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(999), "999 ns");
        assert_eq!(duration(1_500), "1.5 µs");
        assert_eq!(duration(2_000_000), "2.0 ms");
        assert_eq!(duration(8_000_000_000), "8.00 s");
    }

    #[test]
    fn what_is_unknown_is_a_dash() {
        let event = LifecycleEvent { event: EventKind::Opened, lost: None, ..LifecycleEvent::lost(0) };
        assert!(line(&event).starts_with('–'));
        assert!(line(&LifecycleEvent::lost(3)).contains("3 events lost"));
    }
}
