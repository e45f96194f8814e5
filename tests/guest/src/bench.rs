//! What hvsock-top costs: fixed amounts of work, measured without probes, with empty ones, and with the real ones.
//!
//! Made for a guest whose time counts instructions (`--icount`): the time stamp counter then goes up by one per instruction, so that a difference
//! of two readings is a number of instructions. One line per figure on standard output; `cargo xtask bench` makes a report of them.

mod cells;
mod lookup;
mod walks;
mod watch;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use hvsock_guest::vsock::Stream;
use hvsock_guest::{PATIENCE, host, traffic};

/// Ports of the host's, one for each kind of work.
const STALL: u32 = 7100;
const WRITER: u32 = 7101;
const ECHO: u32 = 7102;

/// A pause long enough for everything that was set off to come to rest. Idle time costs nothing in such a guest.
const REST: Duration = Duration::from_millis(50);

/// Sends per connection: what fits into the ring, of which the host takes nothing.
const BATCH: usize = 5;

#[derive(Debug, Subcommand)]
pub(crate) enum Bench {
    /// What probes add to a send, a callback, a receive, an open with its close
    Cost {
        /// Sends of 4 KiB per state
        #[arg(long, default_value_t = 120)]
        sends: usize,
        /// Callbacks per state
        #[arg(long, default_value_t = 100)]
        callbacks: usize,
        /// Connections opened and closed per state
        #[arg(long, default_value_t = 100)]
        opens: usize,
    },
    /// What a Snapshot costs, by the number of connections
    Snapshot {
        /// Snapshots per figure
        #[arg(long, default_value_t = 20)]
        count: usize,
    },
    /// What finding sockets costs: AF_HYPERV by list, hash and pointer, and hv_sock
    Lookup(lookup::Lookup),
}

pub(crate) fn run(bench: &Bench) -> Result<()> {
    match bench {
        Bench::Cost { sends, callbacks, opens } => cost(*sends, *callbacks, *opens),
        Bench::Snapshot { count } => snapshot(*count),
        Bench::Lookup(options) => lookup::run(options),
    }
}

/// The states, each in its turn; without probes at the begin, in the middle and at the end, to show how well it repeats.
fn cost(sends: usize, callbacks: usize, opens: usize) -> Result<()> {
    for (port, mode) in [(STALL, "stall"), (WRITER, "sink"), (ECHO, "echo")] {
        host::host(&format!("mode {port} {mode}"))?;
    }
    // Once for nothing: caches of the kernel's, pages of our own.
    work("warm-up", sends, callbacks, opens)?;
    work("off", sends, callbacks, opens)?;
    for backend in ["fentry", "kprobe"] {
        for (name, empty) in [("empty", true), ("ours", false)] {
            let state = format!("{name}-{backend}");
            let probes = Probes::attach(&state, backend == "kprobe", empty)?;
            work(&state, sends, callbacks, opens)?;
            probes.detach(&state)?;
        }
        work("off", sends, callbacks, opens)?;
    }
    Ok(())
}

fn work(state: &str, sends: usize, callbacks: usize, opens: usize) -> Result<()> {
    host::host("reset")?;
    send(state, sends).context("sending")?;
    callback(state, callbacks).context("being called back")?;
    open_close(state, opens).context("opening and closing")?;
    sleep(REST);
    Ok(())
}

/// The time stamp counter.
fn now() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets programs use it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Instructions that `work` takes.
fn timed<T>(samples: &mut Vec<u64>, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let begin = now();
    let result = work();
    samples.push(now() - begin);
    result
}

/// Prints what the samples say. The median: now and then a timer's interrupt falls into one.
fn print(state: &str, what: &str, mut samples: Vec<u64>) {
    samples.sort_unstable();
    let (count, sum) = (samples.len(), samples.iter().sum::<u64>());
    let (least, median, most) = (samples[0], samples[count / 2], samples[count - 1]);
    println!(
        "figure state={state} what={what} count={count} median={median} min={least} max={most} mean={}",
        sum / count as u64
    );
}

/// Sends that find room in a ring that is not empty, so that none waits and none signals the host: what the signal sets off runs sometimes
/// within the send and sometimes after it, and would be measured with it. What probes add is the same.
///
/// Half of them go over the connection that was sent on just before, half over the other of two.
fn send(state: &str, count: usize) -> Result<()> {
    let data = traffic::pattern(0, 4096);
    let (mut same, mut other) = (Vec::with_capacity(count), Vec::with_capacity(count));
    while same.len() < count {
        let streams = [traffic::connect(STALL)?, traffic::connect(STALL)?];
        sleep(REST);
        let mut last = 1;
        let mut left = [BATCH; 2];
        for which in [0, 1, 0, 1, 1, 0, 0, 1, 1, 0] {
            // The first of each finds the ring empty, and signals.
            let mut signals = Vec::new();
            let samples = match (left[which] == BATCH, which == last) {
                (true, _) => &mut signals,
                (_, true) => &mut same,
                (_, false) => &mut other,
            };
            timed(samples, || Ok(streams[which].send(&data)?))?;
            (last, left[which]) = (which, left[which] - 1);
        }
        host::host(&format!("release {STALL}"))?;
        drop(streams);
        sleep(REST);
    }
    print(state, "send_4096", same);
    print(state, "send_4096_other", other);
    Ok(())
}

/// One callback at a time: the host writes eight bytes, which interrupts the guest, and the guest waits for them in poll(2). Then they are
/// received, which waits for nothing.
fn callback(state: &str, count: usize) -> Result<()> {
    let stream = traffic::connect(WRITER)?;
    let interrupts = || -> Result<u64> {
        let ledger = host::ledger()?;
        let conn = ledger.conns.iter().find(|c| c.host_port == WRITER).context("it is not in the ledger")?;
        Ok(conn.irqs)
    };
    let (mut called, mut received) = (Vec::with_capacity(count), Vec::with_capacity(count));
    let mut buffer = [0; 64];
    sleep(REST);
    let before = interrupts()?;
    for _ in 0..count {
        let readable = timed(&mut called, || {
            host::host(&format!("write 8 {WRITER}"))?;
            Ok(stream.readable(PATIENCE)?)
        })?;
        ensure!(readable, "nothing came");
        let bytes = timed(&mut received, || Ok(stream.receive(&mut buffer)?))?;
        ensure!(bytes == 8, "{bytes} bytes came, not 8");
    }
    let seen = interrupts()? - before;
    ensure!(seen == count as u64, "{seen} interrupts for {count} writes: this is no measure of one callback");
    print(state, "callback", called);
    print(state, "receive", received);
    Ok(())
}

/// Connections opened and closed at once. Kernel threads do most of it, so what counts is the time that the CPU ran anything at all; the little
/// that the pauses and the reading of it take is in every figure.
fn open_close(state: &str, count: usize) -> Result<()> {
    let mut samples = Vec::with_capacity(count);
    for _ in 0..count {
        sleep(REST);
        let before = busy()?;
        drop(Stream::connect(ECHO)?);
        sleep(REST);
        samples.push(busy()? - before);
        let live = host::ledger()?.host.live;
        ensure!(live == 0, "{live} connections were not closed in time");
    }
    print(state, "open_close", samples);
    Ok(())
}

/// Nanoseconds for which threads have run, on all CPUs: the seventh number of each `cpu` line, less what ran when the CPU was last taken from it.
fn busy() -> Result<u64> {
    sleep(Duration::from_millis(1));
    let path = "/proc/schedstat";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    let mut sum = 0;
    for line in text.lines().filter(|l| l.starts_with("cpu")) {
        let number = line.split_whitespace().nth(7).with_context(|| format!("{path} is not as expected"))?;
        sum += number.parse::<u64>()?;
    }
    ensure!(sum > 0, "{path} counts nothing: the kernel was built without it");
    Ok(sum)
}

/// A running `hvsock-top hold`.
struct Probes {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Probes {
    fn attach(state: &str, kprobes: bool, empty: bool) -> Result<Self> {
        let mut command = Command::new("hvsock-top");
        command.arg("hold").args(kprobes.then_some("--kprobes")).args(empty.then_some("--empty"));
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start hvsock-top")?;
        let output = child.stdout.take().context("no output")?;
        let mut probes = Self { child, output: BufReader::new(output) };
        println!("held state={state} {}", probes.line()?);
        sleep(REST);
        Ok(probes)
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(!line.is_empty(), "hvsock-top ended too early");
        Ok(line.trim_end().to_owned())
    }

    /// Ends it; the real one says what it has counted.
    fn detach(mut self, state: &str) -> Result<()> {
        // SAFETY: no pointers; the process is our child and has not been waited for.
        unsafe { libc::kill(self.child.id() as libc::pid_t, libc::SIGTERM) };
        let mut line = String::new();
        while self.output.read_line(&mut line)? > 0 {
            println!("snapshot state={state} {}", line.trim_end());
            line.clear();
        }
        let status = self.child.wait()?;
        ensure!(status.success(), "hvsock-top failed: {status}");
        Ok(())
    }
}

/// Instructions per Snapshot in `hvsock-top json`: taking it, writing it as JSON, and handing it over.
fn snapshot(count: usize) -> Result<()> {
    let files = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
    // SAFETY: passes a pointer to a valid structure.
    let result = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const files) };
    ensure!(result == 0, "cannot have 4,096 open files");
    host::host(&format!("mode {ECHO} echo"))?;
    for connections in [0, 200, 2000] {
        let streams = traffic::connect_all(ECHO, connections)?;
        for stream in &streams {
            traffic::echo(stream, 64)?;
        }
        let mut child = Command::new("hvsock-top")
            .args(["json", "--interval", "1s"])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start hvsock-top")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let ran = format!("/proc/{}/schedstat", child.id());
        let mut bytes = 0;
        let mut line = String::new();
        let mut begin = 0;
        for i in 0..=count {
            line.clear();
            ensure!(output.read_line(&mut line)? > 0, "hvsock-top ended too early");
            // It waits for its next turn now.
            sleep(Duration::from_millis(20));
            let text = fs::read_to_string(&ran)?;
            let spent: u64 = text.split(' ').next().context("no number")?.parse()?;
            if i == 0 {
                begin = spent;
            } else {
                bytes += line.len();
            }
            if i == count {
                let mean = (spent - begin) / count as u64;
                println!(
                    "figure state=json-{connections} what=snapshot count={count} mean={mean} bytes={}",
                    bytes / count
                );
            }
        }
        // It ends when nobody reads it any more.
        drop(output);
        ensure!(child.wait()?.success(), "hvsock-top failed");
        drop(streams);
        // There are 2,047 relids, and 6.1 takes its time to hand them back.
        sleep(Duration::from_secs(10));
    }
    Ok(())
}
