//! A recording as the screen's source: it can be stopped, wound, and played at any speed.
//!
//! Snapshots and events are kept packed, as in the file, and unpacked when they are shown; memory grows with the file and no further.

use std::{
    io::Read as _,
    sync::mpsc::SyncSender,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Commands;
use crate::{
    cli::{
        Failure,
        judging::{JudgeArgs, Judging},
    },
    model::{LifecycleEvent, Snapshot},
    record::{Record, Replay},
    tui::{Control, Message, Position, Update},
};

/// So many Snapshots before the one wound to are gone through, for curves and what is recent.
const RUN_UP: usize = 60;
/// But going through them takes no longer than this.
const RUN_UP_TIME: Duration = Duration::from_millis(500);
/// How long reading on may keep a command waiting.
const SLICE: Duration = Duration::from_millis(20);
/// Fast enough that winding feels immediate.
const LEVEL: i32 = 1;
/// The longest wait for the next Snapshot.
const LONGEST: Duration = Duration::from_hours(24);

/// A Snapshot and the events since the one before, packed.
struct Frame {
    uptime_ns: u64,
    packed: Vec<u8>,
    unpacked_len: usize,
}

/// The recording as far as it has been read.
struct Tape {
    replay: Replay,
    judging: Judging,
    frames: Vec<Frame>,
    events: Vec<LifecycleEvent>,
    complete: bool,
}

impl Tape {
    /// Reads the next Snapshot and the events before it.
    fn read(&mut self) -> Result<(), Failure> {
        loop {
            let Some(record) = self.replay.record().inspect_err(|_| self.complete = true)? else {
                self.complete = true;
                return Ok(());
            };
            match record {
                Record::Event(event) => self.events.push(*event),
                Record::Snapshot(mut snapshot) => {
                    // What a recording says was found stays; else it is judged here, in its order.
                    self.judging.judge(&mut snapshot);
                    let frame = (std::mem::take(&mut self.events), snapshot);
                    let json = serde_json::to_vec(&frame).map_err(anyhow::Error::from)?;
                    let packed = zstd::bulk::compress(&json, LEVEL).map_err(anyhow::Error::from)?;
                    self.frames.push(Frame {
                        uptime_ns: frame.1.uptime_ns,
                        packed,
                        unpacked_len: json.len(),
                    });
                    return Ok(());
                }
                Record::End(_) => {}
            }
        }
    }

    fn unpack(&self, index: usize) -> Result<(Vec<LifecycleEvent>, Box<Snapshot>), Failure> {
        let frame = &self.frames[index];
        let json = zstd::bulk::decompress(&frame.packed, frame.unpacked_len).map_err(anyhow::Error::from)?;
        Ok(serde_json::from_slice(&json).map_err(anyhow::Error::from)?)
    }

    fn at_ns(&self, index: usize) -> u64 {
        let first = self.frames.first().map_or(0, |f| f.uptime_ns);
        self.frames.get(index).map_or(0, |f| f.uptime_ns.saturating_sub(first))
    }
}

/// Plays a recording until the screen is gone.
pub(super) fn play(
    replay: Replay,
    speed: f64,
    to: &SyncSender<Message>,
    commands: &Commands,
) -> Result<(), Failure> {
    let tape = Tape {
        replay,
        judging: JudgeArgs::default().judging(),
        frames: Vec::new(),
        events: Vec::new(),
        complete: false,
    };
    Player { tape, to, gone: false, index: None, playing: true, speed, shown: Instant::now(), damage: None }
        .play(commands)
}

struct Player<'a> {
    tape: Tape,
    to: &'a SyncSender<Message>,
    gone: bool,
    /// The Snapshot that is shown.
    index: Option<usize>,
    playing: bool,
    speed: f64,
    /// When it was due.
    shown: Instant,
    /// Why the recording cannot be read to its end.
    damage: Option<Failure>,
}

impl Player<'_> {
    fn play(mut self, commands: &Commands) -> Result<(), Failure> {
        while !self.gone {
            let mut wound = false;
            while let Ok(control) = commands.receiver.try_recv() {
                match control {
                    Control::Play(playing) => {
                        let at_end =
                            self.tape.complete && self.index.map_or(0, |i| i + 1) >= self.tape.frames.len();
                        if playing && at_end {
                            self.seek(0)?;
                        }
                        self.playing = playing;
                        self.shown = Instant::now();
                    }
                    Control::Seek(index) => {
                        self.playing = false;
                        self.seek(index)?;
                    }
                    Control::Speed(speed) => self.speed = speed,
                    Control::Interval(_) => {}
                }
                wound = true;
            }
            if wound {
                self.tell();
            }
            if self.index.is_none() && self.tape.frames.is_empty() && !self.tape.complete {
                self.read_on();
                continue;
            }
            let due = self.due();
            if due.is_some_and(|due| due <= Instant::now()) {
                let next = self.index.map_or(0, |index| index + 1);
                self.shown =
                    due.unwrap_or(self.shown).max(Instant::now().checked_sub(LATE).unwrap_or(self.shown));
                self.show(next)?;
                self.tell();
            } else if !self.tape.complete {
                let end = Instant::now() + SLICE;
                while !self.tape.complete && Instant::now() < end {
                    self.read_on();
                }
                if self.tape.complete {
                    self.ended();
                }
            } else {
                if self.playing && self.index.map_or(0, |i| i + 1) >= self.tape.frames.len() {
                    self.playing = false;
                    self.tell();
                }
                wait(commands, due)?;
            }
        }
        Ok(())
    }

    /// When the next Snapshot is due; `None`: not by itself.
    fn due(&self) -> Option<Instant> {
        let next = self.index.map_or(0, |index| index + 1);
        if !self.playing || next >= self.tape.frames.len() {
            return None;
        }
        let Some(index) = self.index else { return Some(self.shown) };
        let apart = self.tape.at_ns(next).saturating_sub(self.tape.at_ns(index));
        let apart = Duration::from_nanos(apart).as_secs_f64() / self.speed;
        Some(self.shown + Duration::try_from_secs_f64(apart).unwrap_or(LONGEST).min(LONGEST))
    }

    fn read_on(&mut self) {
        if let Err(failure) = self.tape.read() {
            self.damage = Some(failure);
        }
    }

    /// All has been read that can be.
    fn ended(&mut self) {
        if let Some(failure) = self.damage.take() {
            let (what, remedy) = failure.into_parts();
            if self.tape.frames.is_empty() {
                self.send(Update::Failed { what, remedy });
            } else {
                self.send(Update::Notice(format!("{what}; {remedy}")));
            }
        } else if self.tape.frames.is_empty() {
            self.send(Update::Failed {
                what: "there is no Snapshot in this recording".to_owned(),
                remedy: "q leaves".to_owned(),
            });
        }
        self.tell();
    }

    fn show(&mut self, index: usize) -> Result<(), Failure> {
        let (events, snapshot) = self.tape.unpack(index)?;
        for event in events {
            self.send(Update::Event(Box::new(event)));
        }
        self.send(Update::Snapshot(snapshot));
        self.index = Some(index);
        Ok(())
    }

    fn seek(&mut self, index: usize) -> Result<(), Failure> {
        let Some(last) = self.tape.frames.len().checked_sub(1) else { return Ok(()) };
        let to = index.min(last);
        self.shown = Instant::now();
        match self.index {
            Some(now) if now == to => return Ok(()),
            Some(now) if now + 1 == to => return self.show(to),
            _ => {}
        }
        // Backwards from where to go, as far as there is time, then forwards.
        let begin = Instant::now();
        let mut run_up = Vec::new();
        for index in (to.saturating_sub(RUN_UP)..=to).rev() {
            run_up.push(self.tape.unpack(index)?);
            if begin.elapsed() > RUN_UP_TIME {
                break;
            }
        }
        self.send(Update::Reset);
        for (events, snapshot) in run_up.into_iter().rev() {
            for event in events {
                self.send(Update::Event(Box::new(event)));
            }
            self.send(Update::Snapshot(snapshot));
        }
        self.index = Some(to);
        Ok(())
    }

    fn tell(&mut self) {
        let index = self.index.unwrap_or(0);
        let count = self.tape.frames.len();
        self.send(Update::Position(Position {
            index,
            count,
            complete: self.tape.complete,
            at_ns: self.tape.at_ns(index),
            length_ns: self.tape.at_ns(count.saturating_sub(1)),
            playing: self.playing,
            speed: self.speed,
        }));
    }

    /// A recording can wait for the screen.
    fn send(&mut self, update: Update) {
        self.gone |= self.to.send(Message::Update(update)).is_err();
    }
}

/// Whoever was late by more does not hurry afterwards.
const LATE: Duration = Duration::from_millis(200);

/// Waits for a command, or until then.
fn wait(commands: &Commands, until: Option<Instant>) -> Result<(), Failure> {
    let left = until.map_or(LONGEST, |until| until.saturating_duration_since(Instant::now()));
    let timeout = Timespec::try_from(left).map_err(anyhow::Error::from)?;
    let mut fds = [PollFd::new(&commands.bell, PollFlags::IN)];
    match poll(&mut fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(anyhow::Error::from(error).into()),
    }
    let _ = (&commands.bell).read(&mut [0; 64]);
    Ok(())
}
