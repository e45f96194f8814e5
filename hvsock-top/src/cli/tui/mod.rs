//! `hvsock-top` on a terminal, and `replay`: joins the terminal interface to a source.
//!
//! Threads: this one draws; `collect` yields Snapshots and never waits for drawing; `keys` waits for the terminal; `stop` for signals. Privileges are given
//! up before the last three begin.

pub(super) mod args;
mod live;
mod settings;
mod tape;

use std::{
    any::Any,
    fs::OpenOptions,
    io::{self, IsTerminal as _, Write as _},
    os::unix::{fs::OpenOptionsExt as _, net::UnixStream},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    thread,
    time::Instant,
};

use self::args::TuiArgs;
use super::{Failure, input::open_recording, live::LiveArgs, signals::Stop};
use crate::{
    collect,
    kernel::{self, Blind},
    tui::{App, Control, Message, Outside, Screen, Terminal, Update, run as run_screen},
};

/// Messages that may wait for the screen.
const WAITING: usize = 256;

/// What is shown.
pub(super) enum Shown<'a> {
    /// The running kernel.
    Live(&'a LiveArgs),
    /// A recording at so many times its own pace.
    Recording(&'a Path, f64),
}

/// Shows it until told to stop.
pub(super) fn run(shown: &Shown<'_>, args: &TuiArgs) -> Result<(), Failure> {
    if !io::stdout().is_terminal() {
        return Err(Failure::no_terminal());
    }
    let (config, complaint) = settings::load(args)?;
    let stop = Stop::listen()?;
    let interval = args.interval.or(config.interval).unwrap_or(settings::INTERVAL);
    let theme = Terminal::from_env()
        .theme(args.theme.or(config.palette), args.ascii.then_some(true).or(config.ascii));
    let mut app = App::new(&config, theme, interval);
    if let Some(complaint) = complaint {
        app.take(Update::Notice(complaint));
    }
    let (controls, commands) = Controls::new()?;
    let (sender, messages) = sync_channel(WAITING);
    // Attaching takes a moment and may fail: the terminal is taken after it.
    let (job, blind): (Job, Option<Failure>) = match shown {
        Shown::Recording(path, speed) => {
            let replay = open_recording(path)?;
            let speed = *speed;
            (Box::new(move |to, commands| tape::play(replay, speed, to, commands)), None)
        }
        Shown::Live(live) => match live::attach(live) {
            Ok(watched) => (Box::new(move |to, commands| live::watch(watched, interval, to, commands)), None),
            Err(blind) => (explain(&mut app, live, &blind), Some(blind.into())),
        },
    };
    let mut screen = Screen::enter(config.mouse.unwrap_or(true)).map_err(|e| Failure::output(&e))?;
    begin("collect", {
        let sender = sender.clone();
        move || work(job, &sender, &commands)
    })?;
    // Threads inherit capabilities: only the one that may have to attach again keeps what it needs for that.
    let _ = kernel::renounce();
    begin("keys", {
        let sender = sender.clone();
        move || read_keys(&sender)
    })?;
    begin("stop", move || {
        while stop.sleep_until(Instant::now() + std::time::Duration::from_hours(1)) {}
        let _ = sender.send(Message::Stop);
    })?;
    let ended = run_screen(&mut app, &mut screen, &messages, &mut Here { controls });
    drop(screen);
    ended.map_err(|e| Failure::output(&e))?;
    // What was on the screen is said again where it can be read afterwards, and with its exit code.
    blind.map_or(Ok(()), Err)
}

/// What the collecting thread does.
type Job = Box<dyn FnOnce(&SyncSender<Message>, &Commands) -> Result<(), Failure> + Send>;

/// The kernel cannot be watched: shows why.
fn explain(app: &mut App, live: &LiveArgs, blind: &Blind) -> Job {
    app.take(Update::Failed { what: blind.to_string(), remedy: blind.remedy().to_owned() });
    app.take(Update::Doctor(Box::new(collect::examine(&live.options()))));
    Box::new(|_, _| Ok(()))
}

fn begin(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop).map_err(|e| {
        Failure::new(format!("cannot start a thread: {e}"), "check the limit on processes (ulimit -u)")
    })
}

/// Collects; what ends it is said on the screen.
fn work(job: Job, to: &SyncSender<Message>, commands: &Commands) {
    let failure = match catch_unwind(AssertUnwindSafe(|| job(to, commands))) {
        Ok(Ok(())) => return,
        Ok(Err(failure)) => failure,
        Err(panic) => Failure::new(
            format!("collecting failed: {}", text_of(panic.as_ref())),
            "this should not happen; please report it with the kernel version",
        ),
    };
    let (what, remedy) = failure.into_parts();
    let _ = to.send(Message::Update(Update::Failed { what, remedy }));
}

fn text_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}

fn read_keys(to: &SyncSender<Message>) {
    loop {
        let message = match crossterm::event::read() {
            Ok(event) => Message::Terminal(event),
            // The terminal is gone.
            Err(_) => Message::Stop,
        };
        let over = matches!(message, Message::Stop);
        if to.send(message).is_err() || over {
            return;
        }
    }
}

/// The screen's end of what it tells the source; each command is announced by a byte, so that the source can wait for it and for the kernel at once.
struct Controls {
    sender: Sender<Control>,
    bell: UnixStream,
}

/// The source's end.
struct Commands {
    receiver: Receiver<Control>,
    bell: UnixStream,
}

impl Controls {
    fn new() -> Result<(Self, Commands), Failure> {
        let pair = || {
            let (here, there) = UnixStream::pair()?;
            here.set_nonblocking(true)?;
            there.set_nonblocking(true)?;
            io::Result::Ok((here, there))
        };
        let (here, there) = pair().map_err(|e| {
            Failure::new(
                format!("cannot make a pair of sockets: {e}"),
                "check the limit on open files (ulimit -n)",
            )
        })?;
        let (sender, receiver) = channel();
        Ok((Self { sender, bell: here }, Commands { receiver, bell: there }))
    }
}

/// What the screen needs done.
struct Here {
    controls: Controls,
}

impl Outside for Here {
    fn control(&mut self, control: Control) {
        let _ = self.controls.sender.send(control);
        // A bell that is full has rung already.
        let _ = (&self.controls.bell).write(&[0]);
    }

    fn save(&mut self, name: &str, text: &str) -> Result<String, String> {
        // Never over a file that is there.
        let write = || {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(name)?;
            file.write_all(text.as_bytes())
        };
        write().map(|()| name.to_owned()).map_err(|e: io::Error| e.to_string())
    }
}
