//! What must be put right when xtask is interrupted: no QEMU stays behind, and the terminal gets its settings back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{self, OptionalActions, Termios};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

#[derive(Debug)]
struct State {
    guests: Vec<Pid>,
    terminal: Option<Termios>,
    /// Whether what was shown last left the terminal on its alternate screen.
    alternate: bool,
}

static STATE: Mutex<State> = Mutex::new(State { guests: Vec::new(), terminal: None, alternate: false });

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Handles the signals that end a program. To be called once, before anything that needs cleaning up.
pub(crate) fn install() -> Result<()> {
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGQUIT, SIGTERM])
        .context("cannot handle signals")?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let state = state();
            for pid in &state.guests {
                let _ = kill_process(*pid, Signal::KILL);
            }
            restore(state.terminal.as_ref(), state.alternate);
            eprintln!("xtask: interrupted");
            // The lock stays held: no other thread can start a guest or report a failure that is none.
            #[expect(
                clippy::exit,
                reason = "the other threads may be blocked in reads; all there was to do is done"
            )]
            std::process::exit(128 + signal);
        }
    });
    Ok(())
}

/// A running QEMU, to be killed when xtask is interrupted; forgotten when this is dropped.
#[derive(Debug)]
pub(crate) struct Registered(Pid);

/// Registers a QEMU. Keep the result until it has been waited for.
pub(crate) fn register(pid: Pid) -> Registered {
    state().guests.push(pid);
    Registered(pid)
}

impl Drop for Registered {
    fn drop(&mut self) {
        state().guests.retain(|pid| *pid != self.0);
    }
}

/// The terminal in raw mode, until this is dropped or xtask is interrupted.
#[derive(Debug)]
pub(crate) struct RawTerminal(());

impl RawTerminal {
    /// Puts the terminal on standard input into raw mode.
    pub(crate) fn enter() -> Result<Self> {
        let stdin = std::io::stdin();
        let saved = termios::tcgetattr(&stdin).context("standard input is no terminal")?;
        let mut raw = saved.clone();
        raw.make_raw();
        state().terminal = Some(saved);
        termios::tcsetattr(&stdin, OptionalActions::Now, &raw)
            .context("cannot put the terminal into raw mode")?;
        Ok(Self(()))
    }

    /// Shows output of the guest, and notes what of it must be undone if the guest does not come to it.
    pub(crate) fn show(bytes: &[u8]) -> Result<()> {
        const ENTER: &[u8] = b"\x1b[?1049h";
        const LEAVE: &[u8] = b"\x1b[?1049l";
        for window in bytes.windows(ENTER.len()) {
            if window == ENTER || window == LEAVE {
                state().alternate = window == ENTER;
            }
        }
        write_all(bytes).context("cannot write to the terminal")
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        let mut state = state();
        let saved = state.terminal.take();
        restore(saved.as_ref(), state.alternate);
    }
}

/// Leaves the terminal as it was, also where the guest's programs had no chance to do it.
fn restore(saved: Option<&Termios>, alternate: bool) {
    let Some(saved) = saved else { return };
    let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Flush, saved);
    // Show the cursor, plain text, mouse and bracketed paste off.
    let _ = write_all(b"\x1b[?25h\x1b[0m\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l");
    if alternate {
        let _ = write_all(b"\x1b[?1049l");
    }
}

/// Writes to standard output without its lock, which a thread that was interrupted may hold.
fn write_all(mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(std::io::stdout(), bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
