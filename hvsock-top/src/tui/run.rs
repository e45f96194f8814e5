//! The loop: takes what comes, and draws when there is reason to.

use std::{
    io,
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use crossterm::event::Event;

use super::{
    app::{App, Effect},
    feed::{Control, Update},
    terminal::Screen,
};

/// Between frames that nobody asked for with a key.
const BETWEEN: Duration = Duration::from_millis(500);
/// Messages taken in a row before a key is answered.
const BATCH: usize = 1_000;

/// What the loop is told.
#[derive(Debug)]
pub enum Message {
    /// Something about the guest.
    Update(Update),
    /// A key, the mouse, a new size.
    Terminal(Event),
    /// End.
    Stop,
}

/// What the screen needs done and cannot do.
pub trait Outside {
    /// Tells the source.
    fn control(&mut self, control: Control);
    /// Saves `text` in a new file of that name, and says where.
    fn save(&mut self, name: &str, text: &str) -> Result<String, String>;
}

/// When to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Never,
    /// Something has come: when it is time again.
    Soon,
    /// Someone waits for it.
    Now,
}

/// Runs until told to end.
pub fn run(
    app: &mut App,
    screen: &mut Screen,
    messages: &Receiver<Message>,
    outside: &mut dyn Outside,
) -> io::Result<()> {
    let mut due = Due::Now;
    let mut drawn: Option<Instant> = None;
    loop {
        let wait = match (due, drawn) {
            (Due::Now, _) | (Due::Soon, None) => Duration::ZERO,
            (Due::Soon, Some(at)) => (at + BETWEEN).saturating_duration_since(Instant::now()),
            (Due::Never, _) => Duration::from_hours(1),
        };
        if wait.is_zero() {
            screen.draw(app)?;
            drawn = Some(Instant::now());
            due = Due::Never;
            continue;
        }
        match messages.recv_timeout(wait) {
            Ok(message) => {
                let mut next = Some(message);
                let mut left = BATCH;
                while let Some(message) = next {
                    let Some(so) = take(app, screen, outside, message)? else { return Ok(()) };
                    due = due.max(so);
                    left -= 1;
                    next = if left > 0 { messages.try_recv().ok() } else { None };
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Takes one message; `None`: the end.
fn take(
    app: &mut App,
    screen: &mut Screen,
    outside: &mut dyn Outside,
    message: Message,
) -> io::Result<Option<Due>> {
    let effects = match message {
        Message::Stop => return Ok(None),
        Message::Update(update) => {
            // Whoever winds a recording waits for what it shows there.
            let asked = matches!(&update, Update::Position(position) if !position.playing);
            app.take(update);
            return Ok(Some(if asked { Due::Now } else { Due::Soon }));
        }
        Message::Terminal(Event::Key(key)) => app.key(key),
        Message::Terminal(Event::Mouse(mouse)) => app.mouse(mouse),
        Message::Terminal(Event::Paste(text)) => {
            app.paste(&text);
            Vec::new()
        }
        // Drawing finds the new size. Asking the terminal for anything would wait for its answer, which the thread of the keys reads.
        Message::Terminal(Event::Resize(..)) => Vec::new(),
        Message::Terminal(Event::FocusGained | Event::FocusLost) => return Ok(Some(Due::Never)),
    };
    for effect in effects {
        match effect {
            Effect::Quit => return Ok(None),
            Effect::Control(control) => outside.control(control),
            Effect::Copy(text) => screen.copy(&text)?,
            Effect::Save { name, text } => match outside.save(&name, &text) {
                Ok(path) => app.say(format!("saved {path}")),
                Err(error) => {
                    app.say(format!("cannot save {name}: {error}; start hvsock-top where you may write"));
                }
            },
        }
    }
    Ok(Some(Due::Now))
}
