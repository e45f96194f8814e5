//! Waiting for the next tick, or for somebody to say stop.

use std::{
    cell::Cell,
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{SignalsInfo, exfiltrator::raw::WithRawSiginfo},
};

use super::Failure;
use crate::kernel;

/// Listens for SIGINT, SIGTERM and SIGHUP from its creation on, so that output always ends with a whole line.
pub(super) struct Stop {
    signals: Receiver<Asked>,
    /// Whoever has been told stays told.
    told: Cell<bool>,
}

/// Somebody says stop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// With which signal.
    pub(super) signal: i32,
    /// By a key of the terminal: then all processes of our group got it.
    pub(super) by_terminal: bool,
}

/// `si_code` of signals that the kernel sends of itself.
const SI_KERNEL: i32 = 0x80;

impl Stop {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        Self::begin().map_err(|e| {
            Failure::new(
                format!("cannot listen for signals: {e}"),
                "check the limit on processes (ulimit -u)",
            )
        })
    }

    fn begin() -> std::io::Result<Self> {
        let mut signals = SignalsInfo::<WithRawSiginfo>::new([SIGINT, SIGTERM, SIGHUP])?;
        let (sender, receiver) = channel();
        let (ready, started) = channel();
        thread::Builder::new().name("signals".into()).spawn(move || {
            // Capabilities belong to threads, and this one needs none. Whether it worked is seen when the others are given up.
            let _ = kernel::renounce();
            let _ = ready.send(());
            for info in signals.forever() {
                let asked = Asked { signal: info.si_signo, by_terminal: info.si_code == SI_KERNEL };
                if sender.send(asked).is_err() {
                    break;
                }
            }
        })?;
        let _ = started.recv();
        Ok(Self { signals: receiver, told: Cell::new(false) })
    }

    /// Sleeps until `until`; `false` when told to stop.
    pub(super) fn sleep_until(&self, until: Instant) -> bool {
        let left = until.saturating_duration_since(Instant::now());
        if !self.told.get() && matches!(self.signals.recv_timeout(left), Err(RecvTimeoutError::Timeout)) {
            return true;
        }
        self.told.set(true);
        false
    }

    /// What was said since it was last asked.
    pub(super) fn asked(&self) -> Option<Asked> {
        self.signals.try_recv().ok()
    }

    /// Whether told to stop.
    pub(super) fn is_asked(&self) -> bool {
        !self.sleep_until(Instant::now())
    }
}

/// Ticks at a fixed rate: a late one does not shift the next, and those that were missed are left out.
pub(super) struct Ticks {
    next: Instant,
    interval: Duration,
}

impl Ticks {
    /// The first tick is one interval from now.
    pub(super) fn new(interval: Duration) -> Self {
        Self { next: Instant::now() + interval, interval }
    }

    /// When the next tick is due.
    pub(super) fn next(&mut self) -> Instant {
        let due = self.next.max(Instant::now());
        while self.next <= due {
            self.next += self.interval;
        }
        due
    }
}
