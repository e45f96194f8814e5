//! Runs a program on a terminal of its own and reads what its screen shows. For tests.
//!
//! [`sheet`] reads tables, [`shows`] holds what hvsock-top shows to the simulated host's ledger, [`times`] the durations.

pub mod sheet;
pub mod shows;
pub mod times;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    os::unix::process::CommandExt as _,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::{
    process::{Pid, Signal, kill_process},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize},
};

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A program on a terminal of its own; killed when dropped.
pub struct Screen {
    child: Child,
    /// Our end of the terminal.
    ours: File,
    /// The program's end, so that its settings can be looked at when the program is gone.
    theirs: File,
    parser: Arc<Mutex<vt100::Parser>>,
}

impl Screen {
    /// Starts `command` on a terminal of that size.
    pub fn start(command: &mut Command, rows: u16, columns: u16) -> Result<Self> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .context("cannot open a pseudo-terminal; is /dev/pts mounted?")?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let name = ptsname(&ours, Vec::new())?;
        let name = name.to_str().context("a terminal's name that is no text")?.to_owned();
        let theirs = File::options().read(true).write(true).open(&name).context(name)?;
        set_size(&ours, rows, columns)?;
        command.stdin(Stdio::from(theirs.try_clone()?));
        command.stdout(Stdio::from(theirs.try_clone()?));
        command.stderr(Stdio::from(theirs.try_clone()?));
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated.
        unsafe { command.pre_exec(take_terminal) };
        let child = command.spawn().context("cannot start the program")?;
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let ours = File::from(ours);
        let (mut from, to) = (ours.try_clone()?, Arc::clone(&parser));
        // Ends when our end is closed, with the process at the latest.
        thread::spawn(move || {
            let mut buffer = [0; 16_384];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                to.lock().unwrap_or_else(PoisonError::into_inner).process(&buffer[..n]);
            }
        });
        Ok(Self { child, ours, theirs, parser })
    }

    fn parser(&self) -> MutexGuard<'_, vt100::Parser> {
        self.parser.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the screen shows, line by line.
    pub fn text(&self) -> String {
        self.parser().screen().contents()
    }

    /// Waits until the screen shows what `check` looks for, and gives it.
    pub fn wait(&self, what: &str, limit: Duration, check: impl Fn(&str) -> bool) -> Result<String> {
        self.wait_for(what, limit, |text| if check(text) { Ok(()) } else { bail!("not seen") })
    }

    /// The same with a check that says what is missing.
    pub fn wait_for(
        &self,
        what: &str,
        limit: Duration,
        check: impl Fn(&str) -> Result<()>,
    ) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let text = self.text();
            match check(&text) {
                Ok(()) => return Ok(text),
                Err(error) if Instant::now() > end => {
                    bail!("the screen does not show within {limit:?}: {what}: {error:#}; it shows\n{text}");
                }
                Err(_) => thread::sleep(LOOK),
            }
        }
    }

    /// Types `keys`.
    pub fn press(&self, keys: &str) -> Result<()> {
        (&self.ours).write_all(keys.as_bytes()).context("the terminal takes no keys")
    }

    /// Makes the window another size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.parser().screen_mut().set_size(rows, columns);
        set_size(&self.ours, rows, columns)
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        kill_process(Pid::from_child(&self.child), signal).context("the program has ended already")
    }

    /// The program's process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the program's end.
    pub fn ended(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if let Some(status) = self.child.try_wait()? {
                // What it wrote last may be on its way.
                thread::sleep(5 * LOOK);
                return Ok(status);
            }
            thread::sleep(LOOK);
        }
        bail!("the program does not end within {limit:?}; its screen:\n{}", self.text())
    }

    /// Whether the program has taken the terminal: its own screen, and keys as they are typed.
    pub fn is_taken(&self) -> Result<bool> {
        let modes = tcgetattr(&self.theirs)?.local_modes;
        Ok(self.parser().screen().alternate_screen() && !modes.contains(LocalModes::ICANON))
    }

    /// Whether nothing on the screen has a colour.
    pub fn is_plain(&self) -> bool {
        let parser = self.parser();
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let plain = |color| color == vt100::Color::Default;
        (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .filter_map(|(row, column)| screen.cell(row, column))
            .all(|cell| plain(cell.fgcolor()) && plain(cell.bgcolor()))
    }

    /// Fails unless the terminal is as a shell wants it back.
    pub fn is_given_back(&self) -> Result<()> {
        let modes = tcgetattr(&self.theirs)?.local_modes;
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        ensure!(modes.contains(wanted), "the terminal is still raw: {modes:?}");
        self.is_left()
    }

    /// Fails unless the terminal shows what it showed before, with its cursor, and sends nothing but keys; it may be raw.
    pub fn is_left(&self) -> Result<()> {
        let parser = self.parser();
        let screen = parser.screen();
        ensure!(!screen.alternate_screen(), "the terminal still shows the program's screen");
        ensure!(!screen.hide_cursor(), "the cursor is still hidden");
        ensure!(!screen.bracketed_paste(), "pasted text still comes in brackets");
        let mouse = screen.mouse_protocol_mode();
        ensure!(mouse == vt100::MouseProtocolMode::None, "the mouse is still listened to: {mouse:?}");
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn set_size(terminal: impl std::os::fd::AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(terminal, size).context("cannot set the terminal's size")
}

/// In the program before it starts: makes the terminal its own, so that it gets its signals.
fn take_terminal() -> std::io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::ioctl_tiocsctty(rustix::stdio::stdin())?;
    Ok(())
}
