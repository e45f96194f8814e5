//! The terminal: taken when the screen begins, and given back however the program ends.

use std::{
    io::{self, BufWriter, Stdout, Write as _},
    panic,
    sync::{Mutex, MutexGuard, Once, PoisonError},
    thread::{self, ThreadId},
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute, queue,
    terminal::{self, BeginSynchronizedUpdate, EndSynchronizedUpdate},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::{app::App, views};

/// Enough for a whole frame, so that it goes out in one piece.
const FRAME_BYTES: usize = 64 << 10;

type Backend = CrosstermBackend<BufWriter<Stdout>>;

/// The terminal in raw mode on its alternate screen. Dropping it gives the terminal back; a panic of the thread that draws does so before it is
/// told, so that its text can be read.
pub struct Screen {
    terminal: Terminal<Backend>,
}

impl Screen {
    /// Takes the terminal.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        restore_on_panic();
        // Whatever fails below, the terminal is given back.
        let restore = Restore;
        terminal::enable_raw_mode()?;
        let mut out = io::stdout();
        execute!(out, terminal::EnterAlternateScreen, cursor::Hide, EnableBracketedPaste)?;
        if mouse {
            execute!(out, EnableMouseCapture)?;
        }
        let backend = CrosstermBackend::new(BufWriter::with_capacity(FRAME_BYTES, out));
        let terminal = Terminal::new(backend)?;
        std::mem::forget(restore);
        Ok(Self { terminal })
    }

    /// Draws a frame.
    pub(super) fn draw(&mut self, app: &App) -> io::Result<()> {
        queue!(self.terminal.backend_mut(), BeginSynchronizedUpdate)?;
        self.terminal.draw(|frame| {
            let area = frame.area();
            views::draw(app, area, frame.buffer_mut());
        })?;
        execute!(self.terminal.backend_mut(), EndSynchronizedUpdate)
    }

    /// Puts `text` into the clipboard of whoever sits at the terminal, if the terminal does that (OSC 52).
    pub(super) fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(self.terminal.backend_mut(), CopyToClipboard::to_clipboard_from(text))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        drop(Restore);
    }
}

struct Restore;

impl Drop for Restore {
    fn drop(&mut self) {
        restore();
    }
}

/// Gives the terminal back. What fails cannot be mended here.
fn restore() {
    // Only once: leaving the screen a second time would move the cursor back over what has been written since.
    if owner().take().is_none() {
        return;
    }
    let mut out = io::stdout();
    let _ = execute!(
        out,
        EndSynchronizedUpdate,
        DisableMouseCapture,
        DisableBracketedPaste,
        terminal::LeaveAlternateScreen,
        cursor::Show
    );
    let _ = terminal::disable_raw_mode();
    let _ = out.flush();
}

/// The thread whose screen it is.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);

fn owner() -> MutexGuard<'static, Option<ThreadId>> {
    OWNER.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A panic of the thread that draws gives the terminal back before it is told. One of another thread ends no screen, and would write over
/// it: whoever started that thread says what happened, on the screen.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    *owner() = Some(thread::current().id());
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let taken = *owner();
            if taken == Some(thread::current().id()) {
                restore();
            }
            if taken.is_none_or(|owner| owner == thread::current().id()) {
                before(info);
            }
        }));
    });
}
