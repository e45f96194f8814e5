//! The running kernel as the screen's source.

use std::{
    io::Read as _,
    os::fd::AsFd as _,
    sync::mpsc::{SyncSender, TrySendError},
    thread,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Commands;
use crate::{
    cli::{
        Failure,
        judging::{JudgeArgs, Judging},
        least,
        live::LiveArgs,
        signals::Ticks,
    },
    collect::{Events, Live},
    kernel::Blind,
    model::{LifecycleEvent, Source as _},
    tui::{Control, Message, Update},
};

/// How long to leave events together, so that a burst is read in one go.
const BURST: Duration = Duration::from_millis(20);

/// The kernel, watched.
pub(super) struct Watched {
    source: Live,
    /// `None`: not to be had, and why.
    events: Result<Events, String>,
    judging: Judging,
}

/// Attaches, and gives up what is not needed any more. The eBPF programs' own log would go over the screen and is not shown.
pub(super) fn attach(live: &LiveArgs) -> Result<Watched, Blind> {
    let mut options = live.options();
    options.events = true;
    let mut source = Live::attach(&options)?;
    let events = Events::new(&mut source).map_err(|e| format!("events cannot be read: {e:#}"));
    least::reduce(&mut source, false);
    Ok(Watched { source, events, judging: JudgeArgs::default().judging() })
}

/// Sends Snapshots and events until the screen is gone.
pub(super) fn watch(
    mut watched: Watched,
    interval: Duration,
    to: &SyncSender<Message>,
    commands: &Commands,
) -> Result<(), Failure> {
    let mut sink = Sink { to, lost: 0, gone: false };
    let mut ticks = Ticks::new(interval);
    let mut due = Instant::now();
    if let Err(why) = &watched.events {
        sink.send(Update::Notice(why.clone()));
    }
    while !sink.gone {
        let some = wait(&watched, commands, due)?;
        while let Ok(control) = commands.receiver.try_recv() {
            if let Control::Interval(interval) = control {
                ticks = Ticks::new(interval);
                due = due.min(ticks.next());
            }
        }
        let now = Instant::now();
        if let Ok(events) = &mut watched.events
            && (some || now >= due)
        {
            for event in events.drain(&mut watched.source)? {
                sink.event(event);
            }
        }
        if now >= due {
            let snapshot = watched.source.snapshot()?;
            let mut snapshot = snapshot.ok_or_else(|| anyhow::anyhow!("the kernel has no more Snapshots"))?;
            watched.judging.judge(&mut snapshot);
            sink.send(Update::Snapshot(Box::new(snapshot)));
            due = ticks.next().max(now + Duration::from_millis(1));
        } else if some {
            thread::sleep(BURST.min(due.saturating_duration_since(now)));
        }
    }
    Ok(())
}

/// Waits for events, for a command, or until it is time for a Snapshot; says whether there are events.
fn wait(watched: &Watched, commands: &Commands, due: Instant) -> Result<bool, Failure> {
    let left = due.saturating_duration_since(Instant::now());
    let timeout = Timespec::try_from(left).map_err(anyhow::Error::from)?;
    let mut fds = vec![PollFd::new(&commands.bell, PollFlags::IN)];
    if let Ok(events) = &watched.events {
        fds.push(PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN));
    }
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(anyhow::Error::from(error).context("waiting for events failed").into()),
    }
    let ready = |at: usize| fds.get(at).is_some_and(|fd| fd.revents().contains(PollFlags::IN));
    let (rung, some) = (ready(0), ready(1));
    if rung {
        // What is in it says nothing but that there is something.
        let _ = (&commands.bell).read(&mut [0; 64]);
    }
    Ok(some)
}

/// Where updates go. A screen that does not keep up costs updates, never collection.
struct Sink<'a> {
    to: &'a SyncSender<Message>,
    lost: u64,
    gone: bool,
}

impl Sink<'_> {
    fn send(&mut self, update: Update) -> bool {
        match self.to.try_send(Message::Update(update)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => false,
            Err(TrySendError::Disconnected(_)) => {
                self.gone = true;
                false
            }
        }
    }

    fn event(&mut self, event: LifecycleEvent) {
        if self.lost > 0 && self.send(Update::Event(Box::new(LifecycleEvent::lost(self.lost)))) {
            self.lost = 0;
        }
        if self.lost > 0 || !self.send(Update::Event(Box::new(event))) {
            self.lost += 1;
        }
    }
}
