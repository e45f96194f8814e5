//! Process 1: mounts, modules, the one command of this run, and the way out of the virtual machine.
//!
//! Serial ports: ttyS0 is the console, where everything of init's own goes, and the command's stderr. ttyS1 is the
//! command's stdout, raw; with `hv.tty=1` it is its terminal. ttyS2 carries that terminal's size, a line "ROWS COLS"
//! for each change.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::io::Errno;
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, WaitOptions, WaitStatus, setrlimit};
use rustix::system::finit_module;
use rustix::termios::{OptionalActions, Winsize, tcdrain, tcgetattr, tcsetattr, tcsetwinsize};

/// The status that says that init itself failed, not the command.
const BROKEN: u8 = 125;
/// The status of a command that was killed.
const KILLED: u8 = 120;
/// Where QEMU's isa-debug-exit device listens: the value written, doubled plus one, is QEMU's status.
const EXIT_PORT: u16 = 0xf4;

const MOUNTS: &[(&str, &str, &str)] = &[
    ("proc", "proc", "/proc"),
    ("sysfs", "sys", "/sys"),
    ("devtmpfs", "dev", "/dev"),
    ("tracefs", "tracefs", "/sys/kernel/tracing"),
    ("debugfs", "debugfs", "/sys/kernel/debug"),
    ("bpf", "bpf", "/sys/fs/bpf"),
    ("tmpfs", "tmp", "/tmp"),
    ("devpts", "devpts", "/dev/pts"),
];

/// Modules left out with `hv.nomod=1`: with them hv_sock would work.
const HV_MODULES: &[&str] =
    &["vsock.ko", "hvhost.ko", "hv_vmbus.ko", "hv_sock.ko", "vsock_diag.ko", "af_hyperv.ko"];

/// Does all of it. Does not return: process 1 must not end.
pub(crate) fn main() -> ! {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("hvguest: init panicked: {panic}");
        leave(BROKEN);
    }));
    let status = run().unwrap_or_else(|error| {
        eprintln!("hvguest: {error:#}");
        BROKEN
    });
    leave(status)
}

fn run() -> Result<u8> {
    set_up()?;
    let words = Words::read()?;
    load_modules(words.get("hv.nomod") == Some("1"))?;
    let interactive = words.get("hv.tty") == Some("1");
    let channel = if interactive { terminal(&words)? } else { result_channel()? };
    let child = spawn(&command()?, interactive, &channel)?;
    let status = reap(child)?;
    tcdrain(&channel).context("cannot drain ttyS1")?;
    Ok(status)
}

fn set_up() -> Result<()> {
    for (kind, source, target) in MOUNTS {
        fs::create_dir_all(target).with_context(|| format!("cannot create {target}"))?;
        match mount(*source, *target, *kind, MountFlags::empty(), None) {
            // The kernel may have mounted devtmpfs already.
            Ok(()) | Err(Errno::BUSY) => {}
            Err(e) => return Err(e).with_context(|| format!("cannot mount {kind} at {target}")),
        }
    }
    // 2,047 connections at a time must not end at a limit that has nothing to do with them.
    let files = Rlimit { current: Some(65_536), maximum: Some(65_536) };
    setrlimit(Resource::Nofile, files).context("cannot raise the limit of open files")?;
    fs::write("/proc/sys/kernel/hostname", "guest").context("cannot name the guest")?;
    // Some commands serve over TCP on the loopback address.
    let up = Command::new("/bin/busybox").args(["ip", "link", "set", "lo", "up"]).status();
    if !up.is_ok_and(|s| s.success()) {
        eprintln!("hvguest: the loopback interface stays down");
    }
    Ok(())
}

/// The words of the kernel's command line.
struct Words(String);

impl Words {
    fn read() -> Result<Self> {
        fs::read_to_string("/proc/cmdline").map(Self).context("cannot read /proc/cmdline")
    }

    fn get(&self, key: &str) -> Option<&str> {
        self.0.split_whitespace().filter_map(|w| w.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v)
    }

    fn number(&self, key: &str) -> Option<u16> {
        self.get(key)?.parse().ok()
    }
}

fn load_modules(without_hv: bool) -> Result<()> {
    let list = fs::read_to_string("/mod/load").context("cannot read /mod/load")?;
    for name in list.lines().filter(|n| !n.is_empty()) {
        if without_hv && HV_MODULES.contains(&name) {
            continue;
        }
        let path = Path::new("/mod").join(name);
        let file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
        match finit_module(&file, c"", 0) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e).with_context(|| format!("cannot load {name}; the console says more")),
        }
    }
    Ok(())
}

fn serial(path: &str) -> Result<File> {
    let open = OpenOptions::new().read(true).write(true).open(path);
    open.with_context(|| format!("cannot open {path}; the machine needs this serial port"))
}

/// ttyS1 as a pipe to the outside: what is written arrives unchanged.
fn result_channel() -> Result<File> {
    let file = serial("/dev/ttyS1")?;
    let mut settings = tcgetattr(&file).context("ttyS1 is no terminal")?;
    settings.make_raw();
    tcsetattr(&file, OptionalActions::Now, &settings).context("cannot make ttyS1 raw")?;
    Ok(file)
}

/// ttyS1 as a terminal of the size that the command line names and ttyS2 then changes.
fn terminal(words: &Words) -> Result<File> {
    let file = serial("/dev/ttyS1")?;
    resize(&file, words.number("hv.rows").unwrap_or(24), words.number("hv.cols").unwrap_or(80))?;
    let tty = file.try_clone()?;
    let control = serial("/dev/ttyS2")?;
    let mut settings = tcgetattr(&control).context("ttyS2 is no terminal")?;
    settings.make_raw();
    tcsetattr(&control, OptionalActions::Now, &settings).context("cannot make ttyS2 raw")?;
    thread::spawn(move || {
        for line in BufReader::new(control).lines().map_while(Result::ok) {
            let size =
                line.split_once(' ').and_then(|(r, c)| Some((r.parse().ok()?, c.trim().parse().ok()?)));
            let done = match size {
                Some((rows, columns)) => resize(&tty, rows, columns),
                None => Err(anyhow::anyhow!("\"{line}\" is not ROWS COLS")),
            };
            if let Err(error) = done {
                eprintln!("hvguest: window size: {error:#}");
            }
        }
    });
    Ok(file)
}

fn resize(tty: impl AsFd, rows: u16, columns: u16) -> Result<()> {
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(tty, size).context("cannot set the terminal's size")
}

/// The command of this run: `/cmd`, its words separated by NUL.
fn command() -> Result<Vec<OsString>> {
    let text = fs::read("/cmd").context("cannot read /cmd")?;
    let text = text.strip_suffix(&[0]).unwrap_or(&text);
    Ok(text.split(|b| *b == 0).map(|word| OsString::from_vec(word.to_vec())).collect())
}

fn spawn(words: &[OsString], interactive: bool, channel: &File) -> Result<u32> {
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.is_empty()) else {
        bail!("/cmd is empty");
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir("/")
        .env("PATH", "/bin")
        .env("HOME", "/root")
        .stdout(channel.try_clone()?);
    if interactive {
        command.stdin(channel.try_clone()?).stderr(channel.try_clone()?);
        if std::env::var_os("TERM").is_none_or(|t| t == "linux") {
            command.env("TERM", "xterm-256color");
        }
        // The terminal's session stays with init: when the leader of a session ends, the kernel throws away what the
        // terminal has not yet sent. The command gets the foreground; init, in the background, may still drain it.
        // SAFETY: no pointers; the handler is a constant.
        unsafe { libc::signal(libc::SIGTTOU, libc::SIG_IGN) };
        rustix::process::setsid().ok();
        rustix::process::ioctl_tiocsctty(channel)
            .context("ttyS1 does not become the controlling terminal")?;
        command.process_group(0);
        // SAFETY: only system calls between fork and exec, which is what is allowed there.
        unsafe { command.pre_exec(take_foreground) };
    } else {
        command.stdin(Stdio::null());
    }
    let child = command.spawn();
    child.map(|c| c.id()).with_context(|| format!("cannot run {}", program.to_string_lossy()))
}

/// In the command before it starts: makes its process group the one that reads the terminal and gets its signals.
fn take_foreground() -> std::io::Result<()> {
    // SAFETY: no pointers; the handler is a constant. Until here SIGTTOU is ignored, as in init: it would stop a
    // background process that does this.
    let result = unsafe {
        let result = libc::tcsetpgrp(libc::STDIN_FILENO, libc::getpid());
        libc::signal(libc::SIGTTOU, libc::SIG_DFL);
        result
    };
    if result == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// Waits for the command, and buries every orphan on the way.
fn reap(child: u32) -> Result<u8> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_nonzero().get().unsigned_abs() == child => {
                return Ok(code(status));
            }
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e).context("lost the command"),
        }
    }
}

/// A status fits into seven bits on the way out.
fn code(status: WaitStatus) -> u8 {
    match status.exit_status() {
        Some(code) => code.clamp(0, 127) as u8,
        None => KILLED,
    }
}

/// Says the status on the console and ends the machine.
fn leave(status: u8) -> ! {
    rustix::fs::sync();
    eprintln!("hvguest: exit {status}");
    // The console must be empty before the machine stops.
    tcdrain(std::io::stderr()).ok();
    thread::sleep(Duration::from_millis(10));
    if let Err(error) = exit_machine(status) {
        eprintln!("hvguest: cannot leave the machine: {error:#}");
    }
    loop {
        thread::park();
    }
}

fn exit_machine(status: u8) -> Result<()> {
    // SAFETY: ioperm() takes no pointers.
    if unsafe { libc::ioperm(EXIT_PORT.into(), 1, 1) } != 0 {
        return Err(std::io::Error::last_os_error()).context("no access to the exit device");
    }
    // SAFETY: nothing but the exit device answers at this port, access to which has just been given.
    unsafe { std::arch::asm!("out dx, al", in("dx") EXIT_PORT, in("al") status, options(nomem, nostack)) };
    bail!("the machine has no isa-debug-exit device at port {EXIT_PORT:#x}")
}
