//! A command that runs while something is recorded.
//!
//! It gets what it would have got without us: the user's privileges, no more and no less. So its process is forked before hvsock-top
//! attaches or gives anything up, waits, and calls exec(2) once recording has begun. At exec the kernel takes away what came from
//! capabilities of hvsock-top's own file, and leaves what the user holds: all for root, ambient capabilities for a service.

use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    pipe::{PipeFlags, pipe_with},
    process::{Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, waitpid},
};

use super::{
    Failure,
    signals::{Asked, Stop},
};

/// A command, prepared, running, or ended.
pub(super) struct Workload {
    name: String,
    pid: Pid,
    pidfd: OwnedFd,
    /// Writing a byte lets it begin; closing ends it.
    go: Option<File>,
    /// errno, if it cannot begin.
    trouble: File,
    status: Option<u8>,
}

/// How long to wait for its end before looking at signals.
const PATIENCE: Duration = Duration::from_millis(100);

impl Workload {
    /// Makes a process for it, which waits. No threads may have been started.
    pub(super) fn prepare(command: &[OsString]) -> Result<Self, Failure> {
        let name = command.first().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        Self::fork(command, name.clone()).map_err(|error| {
            Failure::new(
                format!("cannot make a process for {name}: {error}"),
                "check the limit on processes (ulimit -u)",
            )
        })
    }

    fn fork(command: &[OsString], name: String) -> io::Result<Self> {
        let words: Vec<CString> =
            command.iter().map(|w| CString::new(OsStr::as_bytes(w))).collect::<Result<_, _>>()?;
        let mut pointers: Vec<_> = words.iter().map(|w| w.as_ptr()).collect();
        pointers.push(std::ptr::null());
        let (go_read, go) = pipe_with(PipeFlags::CLOEXEC)?;
        let (trouble, trouble_write) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: no other threads exist; the child calls nothing but system calls and execvp, and never returns.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: as above. Our copy of the writing end must go, or we would wait for ever if the parent were killed.
            unsafe {
                libc::close(go.as_raw_fd());
                let errno = wait_and_exec(go_read.as_raw_fd(), pointers.as_ptr());
                libc::write(trouble_write.as_raw_fd(), (&raw const errno).cast(), size_of_val(&errno));
                libc::_exit(127);
            }
        }
        let pid = Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error)?;
        Ok(Self {
            name,
            pid,
            pidfd: pidfd_open(pid, PidfdFlags::empty())?,
            go: Some(go.into()),
            trouble: trouble.into(),
            status: None,
        })
    }

    /// Lets it begin.
    pub(super) fn start(&mut self) -> Result<(), Failure> {
        // If a signal has ended it meanwhile, its status will tell.
        let _ = self.go.take().map(|mut go| go.write_all(b"g"));
        let mut errno = [0; 4];
        if self.trouble.read_exact(&mut errno).is_err() {
            // Closed by exec: it runs.
            return Ok(());
        }
        let error = io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
        // As a shell, env(1) and timeout(1) say it.
        let code = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
        self.has_ended()?;
        Err(Failure::of_command(
            format!("cannot run {}: {error}", self.name),
            "check the command after `--`; nothing was recorded",
            code,
        ))
    }

    /// Whether it has begun and not ended.
    pub(super) fn is_running(&self) -> bool {
        self.go.is_none() && self.status.is_none()
    }

    /// Whether it has ended.
    pub(super) fn has_ended(&mut self) -> Result<bool, Failure> {
        if self.status.is_none()
            && let Some((_, status)) =
                waitpid(Some(self.pid), WaitOptions::NOHANG).map_err(anyhow::Error::from)?
        {
            let signal = status.terminating_signal().map(|n| 128 + n);
            self.status = signal.or(status.exit_status()).and_then(|n| u8::try_from(n).ok());
        }
        Ok(self.status.is_some())
    }

    /// Its exit status, as a shell tells it.
    pub(super) fn status(&self) -> Option<u8> {
        self.status
    }

    /// Hands on a signal that we were sent. One from the terminal it has got itself.
    pub(super) fn pass_on(&self, asked: Option<Asked>) {
        if let Some(asked) = asked
            && !asked.by_terminal
            && let Some(signal) = Signal::from_named_raw(asked.signal)
        {
            // If it has just ended there is nobody to hand it to.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, stop: &Stop) -> Result<u8, Failure> {
        while !self.has_ended()? {
            let timeout = Timespec { tv_sec: 0, tv_nsec: PATIENCE.subsec_nanos().into() };
            // Interrupted or not, we look again.
            let _ = poll(&mut [PollFd::new(&self.pidfd, PollFlags::IN)], Some(&timeout));
            self.pass_on(stop.asked());
        }
        Ok(self.status.unwrap_or(0))
    }
}

impl AsFd for Workload {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // One that was never let go ends now.
        if self.go.take().is_some() {
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// In the child: waits for a byte and becomes the command. Returns errno if it cannot.
///
/// # Safety
/// `words` is an array of C strings that ends with a null pointer.
unsafe fn wait_and_exec(go: i32, words: *const *const libc::c_char) -> i32 {
    let mut byte = 0u8;
    // SAFETY: the caller vouches for `words`; all else points to our own variables.
    unsafe {
        if libc::read(go, (&raw mut byte).cast(), 1) != 1 {
            libc::_exit(0);
        }
        // Rust ignores it; a command does not expect that.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        // If hvsock-top is set-user-ID, which it need not be, the command is not.
        let (user, group) = (libc::getuid(), libc::getgid());
        if (libc::geteuid() != user || libc::getegid() != group)
            && (libc::setresgid(group, group, group) != 0 || libc::setresuid(user, user, user) != 0)
        {
            return *libc::__errno_location();
        }
        libc::execvp(*words, words);
        *libc::__errno_location()
    }
}
