//! One guest under QEMU: starts it, reads its channels, notices its end however it comes.

use std::fs::File;
use std::io::{ErrorKind, Read, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::FdFlags;
use rustix::process::{Pid, PidfdFlags, Signal};

use crate::cleanup::{self, Registered};
use crate::console::{self, Lines};
use crate::{acpi, exec};

/// How long the console is read on after a sign of failure: the trace follows it.
const TRACE_TIME: Duration = Duration::from_secs(1);

/// How long a guest may take to end after its init has said the status.
const EXIT_TIME: Duration = Duration::from_secs(5);

/// What to boot.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    /// The kernel ELF.
    pub(crate) kernel: std::path::PathBuf,
    /// The initramfs, in pieces that are put one after the other.
    pub(crate) initramfs: Vec<std::sync::Arc<Vec<u8>>>,
    /// Virtual CPUs.
    pub(crate) smp: u32,
    /// Memory in MiB.
    pub(crate) memory: u32,
    /// Guest time counts instructions.
    pub(crate) icount: bool,
    /// More words for the kernel's command line.
    pub(crate) append: Vec<String>,
}

/// How a guest ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The command ended with this status.
    Exit(u8),
    /// The guest broke; what happened.
    Broken(String),
}

/// The status that a run ends with when the guest broke; commands cannot return it.
const BROKEN: u8 = 125;

impl Ending {
    /// Says what it means, and turns it into our own status.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::Exit(status) => ExitCode::from(*status),
            Self::Broken(why) => {
                eprintln!("xtask: the guest failed: {why}");
                ExitCode::from(BROKEN)
            }
        }
    }
}

/// Something a guest did.
#[derive(Debug)]
pub(crate) enum Event {
    /// The command wrote this.
    Output(Vec<u8>),
    /// A line came on the console.
    Console(String),
    /// The guest is gone.
    Ended(Ending),
    /// The given time came and nothing else had happened.
    Deadline,
}

/// Why a guest will be killed unless it ends by itself.
#[derive(Debug)]
struct Doom {
    why: String,
    at: Instant,
    /// The kernel is broken: whatever status still comes means nothing.
    kernel: bool,
}

/// A running guest. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Guest {
    child: Child,
    _registered: Registered,
    pidfd: OwnedFd,
    console: UnixStream,
    result: UnixStream,
    control: UnixStream,
    lines: Lines,
    queue: std::collections::VecDeque<Event>,
    status_line: Option<u8>,
    doom: Option<Doom>,
    messages: File,
}

impl Guest {
    /// Boots `machine`.
    pub(crate) fn start(machine: &Machine) -> Result<Self> {
        let initramfs = memory_file("initramfs", &machine.initramfs)?;
        let table = memory_file("ssdt", &[acpi::ssdt()])?;
        // QEMU's own messages: a file in memory, because nobody reads while it runs.
        let messages = memory_file::<Vec<u8>>("messages", &[])?;
        let (console, console_there) = UnixStream::pair()?;
        let (result, result_there) = UnixStream::pair()?;
        let (control, control_there) = UnixStream::pair()?;
        let path = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());

        let mut qemu = Command::new("qemu-system-x86_64");
        qemu.args([
            "-machine",
            "pc",
            "-cpu",
            "max",
            "-accel",
            "tcg,thread=single",
            "-nodefaults",
            "-display",
            "none",
        ]);
        qemu.args(["-no-reboot", "-no-user-config", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]);
        qemu.args(["-smp", &machine.smp.to_string(), "-m", &machine.memory.to_string()]);
        if machine.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        qemu.arg("-acpitable").arg(format!("file={}", path(&table)));
        qemu.arg("-kernel").arg(&machine.kernel).arg("-initrd").arg(path(&initramfs));
        qemu.arg("-append").arg(command_line(&machine.append));
        for (id, socket) in
            [("console", &console_there), ("result", &result_there), ("control", &control_there)]
        {
            qemu.arg("-chardev").arg(format!("socket,id={id},fd={}", socket.as_raw_fd()));
            qemu.arg("-serial").arg(format!("chardev:{id}"));
        }
        qemu.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::from(messages.try_clone()?));
        // A group of its own: Ctrl-C reaches xtask alone, which then ends QEMU in its own way.
        qemu.process_group(0);

        let parent = rustix::process::getpid();
        let inherited: Vec<i32> = [initramfs.as_raw_fd(), table.as_raw_fd()]
            .into_iter()
            .chain([&console_there, &result_there, &control_there].map(std::os::fd::AsRawFd::as_raw_fd))
            .collect();
        let prepare = move || {
            // When xtask dies, even by SIGKILL, so does QEMU; and it may have died before this took effect.
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            if rustix::process::getppid() != Some(parent) {
                return Err(rustix::io::Errno::SRCH.into());
            }
            for fd in &inherited {
                // SAFETY: these descriptors are open: `start` holds their owners until the child has been started.
                rustix::io::fcntl_setfd(unsafe { BorrowedFd::borrow_raw(*fd) }, FdFlags::empty())?;
            }
            Ok(())
        };
        // SAFETY: the closure makes system calls only, and allocates nothing.
        unsafe { qemu.pre_exec(prepare) };
        let child = qemu.spawn().with_context(|| format!("cannot start `{}`", exec::shown(&qemu)))?;
        let pid = Pid::from_child(&child);
        let pidfd = rustix::process::pidfd_open(pid, PidfdFlags::empty()).context("cannot watch QEMU")?;
        for stream in [&console, &result] {
            stream.set_nonblocking(true)?;
        }
        Ok(Self {
            child,
            _registered: cleanup::register(pid),
            pidfd,
            console,
            result,
            control,
            lines: Lines::default(),
            queue: std::collections::VecDeque::new(),
            status_line: None,
            doom: None,
            messages: File::from(messages),
        })
    }

    /// The channel of the command's output, and with `hv.tty=1` of its input.
    pub(crate) fn terminal(&self) -> Result<UnixStream> {
        self.result.try_clone().context("cannot copy the terminal channel")
    }

    /// The console, for what is typed there. What it says comes as [`Event::Console`].
    pub(crate) fn console(&self) -> Result<UnixStream> {
        self.console.try_clone().context("cannot copy the console")
    }

    /// The channel that takes window sizes.
    pub(crate) fn control(&self) -> Result<UnixStream> {
        self.control.try_clone().context("cannot copy the control channel")
    }

    /// Waits for the next thing to happen, at most until `deadline`.
    pub(crate) fn next(&mut self, deadline: Instant) -> Result<Event> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Ok(event);
            }
            let mut until = deadline;
            if let Some(doom) = &self.doom {
                until = doom.at;
                if Instant::now() >= until {
                    let why = doom.why.clone();
                    self.kill();
                    self.drain();
                    self.queue.push_back(Event::Ended(Ending::Broken(why)));
                    continue;
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).context("the time-out is out of range")?;
            let mut fds = [
                PollFd::new(&self.console, PollFlags::IN),
                PollFd::new(&self.result, PollFlags::IN),
                PollFd::new(&self.pidfd, PollFlags::IN),
            ];
            match poll(&mut fds, Some(&timeout)) {
                Ok(0) if self.doom.is_none() => return Ok(Event::Deadline),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("cannot wait for QEMU"),
            }
            let gone = !fds[2].revents().is_empty();
            self.read();
            if gone {
                // Before it went it may have written more than one read took.
                self.drain();
                let ending = self.ending()?;
                self.queue.push_back(Event::Ended(ending));
            }
        }
    }

    /// Kills the guest.
    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Reads what is there on both channels; false when there was nothing.
    fn read(&mut self) -> bool {
        let mut buffer = [0u8; 16_384];
        let mut any = false;
        if let Some(n) = read_some(&mut self.result, &mut buffer) {
            any = true;
            self.queue.push_back(Event::Output(buffer[..n].to_vec()));
        }
        if let Some(n) = read_some(&mut self.console, &mut buffer) {
            any = true;
            for line in self.lines.push(&buffer[..n]) {
                self.console_line(line);
            }
        }
        any
    }

    fn drain(&mut self) {
        while self.read() {}
        if let Some(line) = self.lines.rest() {
            self.console_line(line);
        }
    }

    fn console_line(&mut self, line: String) {
        let broken = self.doom.as_ref().is_some_and(|doom| doom.kernel);
        if let Some(name) = console::fatal(&line)
            && !broken
        {
            let why = format!("{name}: {}", line.trim());
            self.doom = Some(Doom { why, at: Instant::now() + TRACE_TIME, kernel: true });
        } else if let Some(status) = console::exit_line(&line) {
            self.status_line = Some(status);
            // From here it takes an instant, unless leaving fails.
            let why = "the guest's init was done, but the machine did not end".to_owned();
            self.doom.get_or_insert(Doom { why, at: Instant::now() + EXIT_TIME, kernel: false });
        }
        self.queue.push_back(Event::Console(line));
    }

    /// Tells from QEMU's status and init's last line how the guest ended.
    fn ending(&mut self) -> Result<Ending> {
        let status = self.child.wait().context("cannot wait for QEMU")?;
        let mut messages = String::new();
        let mut file = &self.messages;
        let _ = std::io::Seek::rewind(&mut file);
        let _ = file.read_to_string(&mut messages);
        if let Some(doom) = self.doom.as_ref().filter(|doom| doom.kernel) {
            return Ok(Ending::Broken(doom.why.clone()));
        }
        Ok(match (status.code(), self.status_line) {
            // isa-debug-exit: value N gives status 2N+1. QEMU's own failures end with 1 too, so init must have said it as well.
            (Some(code), Some(said)) if code == i32::from(said) * 2 + 1 => Ending::Exit(said),
            (Some(0), None) => {
                Ending::Broken("the guest powered off or restarted without a result".to_owned())
            }
            _ => Ending::Broken(format!(
                "QEMU ended ({status}) without a result from the guest. {}",
                messages.trim()
            )),
        })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The kernel's command line. Emulation is slow, and slower on a busy machine: the limits are such that only a guest that
/// really hangs meets them. Warnings go to the console, which is shown when a run fails. `no_timer_check`: an emulated CPU that
/// is starved may miss the ticks by which the kernel tests its timer interrupt, and then panics at boot.
fn command_line(append: &[String]) -> String {
    let fixed = "console=ttyS0 loglevel=5 panic=-1 mitigations=off nmi_watchdog=0 watchdog_thresh=30 no_timer_check \
                 rcupdate.rcu_cpu_stall_timeout=60";
    std::iter::once(fixed).chain(append.iter().map(String::as_str)).collect::<Vec<_>>().join(" ")
}

/// A file in memory that is gone with its last user; QEMU opens it through `/proc/self/fd`.
fn memory_file<T: AsRef<Vec<u8>>>(name: &str, pieces: &[T]) -> Result<OwnedFd> {
    let fd = rustix::fs::memfd_create(name, MemfdFlags::CLOEXEC).context("cannot make a file in memory")?;
    let mut file = File::from(fd);
    for piece in pieces {
        file.write_all(piece.as_ref()).context("cannot fill a file in memory")?;
    }
    Ok(file.into())
}

fn read_some(stream: &mut UnixStream, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match stream.read(buffer) {
            Ok(0) => return None,
            Ok(n) => return Some(n),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_appended_to_the_command_line() {
        let line = command_line(&["hv.nomod=1".to_owned(), "hv.rows=40".to_owned()]);
        assert!(line.starts_with("console=ttyS0 ") && line.ends_with(" hv.nomod=1 hv.rows=40"), "{line}");
        assert!(!line.contains('\n'));
    }
}
