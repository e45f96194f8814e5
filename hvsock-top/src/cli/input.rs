//! Where a command takes its Snapshots from: the live kernel, or a recording. Every output works from either.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use clap::Args;

use super::{
    Failure, least,
    live::LiveArgs,
    log::KernelLog,
    signals::{Stop, Ticks},
    tui::args::TuiArgs,
};
use crate::{
    collect::Live,
    kernel,
    model::{Snapshot, Source as _},
    record::Replay,
};

/// The option of all commands that take a recording instead of the live kernel.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct FromFile {
    /// Take what was recorded in FILE (- is stdin) instead of looking at this kernel; needs no privilege
    #[arg(long, value_name = "FILE")]
    pub(super) replay: Option<PathBuf>,
}

/// Options of `replay`.
#[derive(Args, Debug)]
pub(super) struct ReplayArgs {
    /// The recording; - is stdin
    pub(super) file: PathBuf,
    /// How many times as fast as it was recorded, on a terminal
    #[arg(long, default_value = "1", value_name = "N", value_parser = speed)]
    pub(super) speed: f64,
    /// Options of the terminal interface.
    #[command(flatten)]
    pub(super) tui: TuiArgs,
}

/// How many times as fast as it was recorded.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if (0.001..=1e6).contains(&speed) => Ok(speed),
        Ok(_) => Err("a speed must be at least 0.001 and at most 1000000".to_owned()),
        Err(_) => Err("not a number; write it like 10 or 0.5".to_owned()),
    }
}

/// Where Snapshots are to come from, and how fast.
pub(super) enum Origin<'a> {
    /// The running kernel.
    Live(&'a LiveArgs),
    /// A recording, as fast as it can be read.
    Recording(&'a Path),
    /// A recording at so many times its own pace.
    Paced(&'a Path, f64),
}

impl FromFile {
    /// The recording, if one was given, as fast as it can be read; else the live kernel.
    pub(super) fn origin<'a>(&'a self, live: &'a LiveArgs) -> Origin<'a> {
        self.replay.as_deref().map_or(Origin::Live(live), Origin::Recording)
    }

    /// The same at so many times the recording's own pace.
    pub(super) fn paced<'a>(&'a self, live: &'a LiveArgs, speed: f64) -> Origin<'a> {
        self.replay.as_deref().map_or(Origin::Live(live), |path| Origin::Paced(path, speed))
    }
}

/// A source of Snapshots that knows when the next is due.
pub(super) enum Input {
    /// The running kernel, attached, with all privileges given up that are not needed any more.
    Live {
        /// What is watched.
        source: Box<Live>,
        /// What the eBPF programs log.
        log: Box<KernelLog>,
        /// When to look.
        ticks: Ticks,
        /// When to look next.
        due: Instant,
    },
    /// A recording.
    Replay {
        /// What is read.
        replay: Box<Replay>,
        /// Read already, not handed out yet.
        ahead: Option<Box<Snapshot>>,
        /// When to hand out what.
        pace: Pace,
    },
}

impl Input {
    /// Attaches to the kernel and gives up privileges, or opens the recording. `interval` is the live kernel's; a recording has its own.
    ///
    /// Threads that exist by then must hold no capabilities; see `Stop::listen`.
    pub(super) fn open(origin: &Origin<'_>, interval: Duration) -> Result<Self, Failure> {
        let (path, pace) = match origin {
            Origin::Live(live) => {
                let mut source = Live::attach(&live.options())?;
                let log = KernelLog::begin(&mut source, live.verbose);
                least::reduce(&mut source, live.verbose);
                return Ok(Self::Live {
                    source: Box::new(source),
                    log: Box::new(log),
                    ticks: Ticks::new(interval),
                    due: Instant::now(),
                });
            }
            Origin::Recording(path) => (path, Pace::at_once()),
            Origin::Paced(path, speed) => (path, Pace::new(*speed)),
        };
        Ok(Self::Replay { replay: Box::new(open_recording(path)?), ahead: None, pace })
    }

    /// Whether it is a recording.
    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Self::Replay { .. })
    }

    /// When the next Snapshot is due; `None`: there are no more. The live kernel's last Snapshot never comes.
    pub(super) fn due(&mut self) -> Result<Option<Instant>, Failure> {
        match self {
            Self::Live { due, .. } => Ok(Some(*due)),
            Self::Replay { replay, ahead, pace } => {
                if ahead.is_none() {
                    *ahead = replay.snapshot()?.map(Box::new);
                }
                Ok(ahead.as_ref().map(|snapshot| pace.due(snapshot.uptime_ns)))
            }
        }
    }

    /// The next Snapshot, without waiting: of the live kernel, the state now.
    pub(super) fn snapshot(&mut self) -> Result<Option<Snapshot>, Failure> {
        match self {
            Self::Live { source, log, ticks, due } => {
                let snapshot = source.snapshot()?;
                log.follow(source);
                *due = ticks.next();
                Ok(snapshot)
            }
            Self::Replay { replay, ahead, .. } => match ahead.take() {
                Some(snapshot) => Ok(Some(*snapshot)),
                None => Ok(replay.snapshot()?),
            },
        }
    }

    /// Waits for the next Snapshot; `None` when there are no more, or when told to stop.
    pub(super) fn next(&mut self, stop: &Stop) -> Result<Option<Snapshot>, Failure> {
        match self.due()? {
            Some(due) if stop.sleep_until(due) => self.snapshot(),
            _ => Ok(None),
        }
    }
}

/// Opens a recording with the user's own permissions.
pub(super) fn open_recording(path: &Path) -> Result<Replay, Failure> {
    Ok(kernel::on_behalf_of_user(|| Replay::open(path))?)
}

/// When to hand out recorded Snapshots.
pub(super) struct Pace {
    /// `None`: at once.
    speed: Option<f64>,
    /// When what was recorded at which uptime was due.
    last: Option<(Instant, u64)>,
}

impl Pace {
    fn at_once() -> Self {
        Self { speed: None, last: None }
    }

    fn new(speed: f64) -> Self {
        Self { speed: Some(speed), last: None }
    }

    /// Snapshots are as far apart as they were, by the guest's monotonic clock.
    fn due(&mut self, uptime_ns: u64) -> Instant {
        let now = Instant::now();
        let Some(speed) = self.speed else { return now };
        let due = match self.last {
            None => now,
            Some((_, last)) if last == uptime_ns => return self.last.map_or(now, |(due, _)| due),
            Some((due, last)) => {
                let apart = Duration::from_nanos(uptime_ns.saturating_sub(last)).as_secs_f64() / speed;
                // No recording makes anyone wait for ever.
                let apart = Duration::try_from_secs_f64(apart).unwrap_or(LONGEST).min(LONGEST);
                // Whoever was late need not hurry afterwards.
                (due + apart).max(now)
            }
        };
        self.last = Some((due, uptime_ns));
        due
    }
}

/// The longest wait for the next recorded Snapshot.
const LONGEST: Duration = Duration::from_hours(24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_keeps_its_pace() {
        let mut pace = Pace::new(2.0);
        let first = pace.due(5_000_000_000);
        assert_eq!(pace.due(5_000_000_000), first, "asked twice");
        let second = pace.due(7_000_000_000);
        assert_eq!(second - first, Duration::from_secs(1));
        assert_eq!(pace.due(u64::MAX) - second, LONGEST);
        assert!(pace.due(0) >= second, "a clock that went back");
    }

    #[test]
    fn speeds_are_bounded() {
        assert_eq!(speed("0.5"), Ok(0.5));
        for bad in ["0", "-1", "nan", "inf", "1e7", "fast", ""] {
            assert!(speed(bad).is_err(), "{bad}");
        }
    }
}
