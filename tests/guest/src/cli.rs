//! The traffic generator's command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use hvsock_guest::family::Family;
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{PATIENCE, host, traffic};

use crate::bench::{self, Bench};
use crate::caps::{self, Caps};
use crate::demo;
use crate::stage;

/// Hyper-V socket traffic from inside the test guest.
#[derive(Debug, Parser)]
#[command(name = "guest")]
struct Arguments {
    /// The family of the sockets; its module must be loaded
    #[arg(long, global = true, value_enum, default_value = "vsock")]
    family: Family,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Connect, echo and close, one connection after the other
    Echo {
        /// The host's port
        port: u32,
        /// Bytes sent and expected back
        bytes: usize,
        /// Connections
        count: usize,
        /// Keep each connection open for so many seconds after the echo
        #[arg(long, default_value_t = 0.0)]
        hold: f64,
    },
    /// Open all connections first, echo on each, then close all
    Par {
        /// The host's port
        port: u32,
        /// Bytes sent and expected back on each
        bytes: usize,
        /// Connections
        count: usize,
        /// Keep them open for so many seconds after the echoes
        #[arg(long, default_value_t = 0.0)]
        hold: f64,
    },
    /// Send to a host that reads
    Push {
        /// The host's port
        port: u32,
        /// Bytes sent
        bytes: u64,
        /// Bytes a call
        #[arg(long, default_value_t = 1 << 20)]
        chunk: usize,
    },
    /// Receive until the host closes
    Sink {
        /// The host's port
        port: u32,
    },
    /// Send until the ring is full, then one blocking send
    Fill {
        /// The host's port
        port: u32,
        /// How many seconds the blocking send may take
        #[arg(long, default_value_t = 20.0)]
        wait: f64,
    },
    /// Listen, accept connections of the host's and echo what it sends
    Serve {
        /// The guest's port
        port: u32,
        /// The listen backlog
        #[arg(long, default_value_t = 128)]
        backlog: u32,
        /// Accept so many, or until none comes for 3 s
        #[arg(long, default_value_t = 1)]
        count: usize,
        /// Wait so many milliseconds before the first accept
        #[arg(long, default_value_t = 0)]
        delay: u64,
        /// Wait so many milliseconds before every accept
        #[arg(long, default_value_t = 0)]
        accept_delay: u64,
    },
    /// Connect once and say what came of it
    Connect {
        /// The host's port
        port: u32,
        /// Do not block in connect(): poll
        #[arg(long)]
        nonblock: bool,
    },
    /// Measure what hvsock-top costs
    #[command(subcommand)]
    Bench(Bench),
    /// A lively mix of everything, until killed
    Demo {
        /// Begin when hvsock-top has attached its probes
        #[arg(long)]
        watched: bool,
        /// Only this part of it
        #[arg(long, value_name = "NAME", conflicts_with = "watched")]
        part: Option<String>,
    },
    /// Traffic in acts, each asked for over a serial port
    Stage {
        /// The serial port
        port: PathBuf,
    },
    /// Give the simulated host a command
    Host {
        /// The command's words
        #[arg(required = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Print the simulated host's ledger
    Ledger,
    /// Run a command as nobody with only these capabilities
    Caps {
        /// Their names, such as BPF,PERFMON, or none
        caps: String,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Give capabilities to a file, as setcap(8) does
    Setcap {
        /// Their names, such as BPF,PERFMON
        caps: String,
        /// The file
        file: PathBuf,
    },
}

/// Runs the generator.
pub(crate) fn main() -> ExitCode {
    // SAFETY: no pointers, and no other thread yet. Whoever reads our output may have had enough; sockets do not
    // raise this signal (std sends with MSG_NOSIGNAL).
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let arguments = Arguments::parse();
    arguments.family.make_current();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<()> {
    let start = Instant::now();
    let took = || start.elapsed().as_secs_f64();
    match command {
        Command::Echo { port, bytes, count, hold } => {
            for i in 0..count {
                let one = || {
                    let stream = traffic::connect(port)?;
                    traffic::echo(&stream, bytes)?;
                    pause(hold);
                    traffic::close(stream)
                };
                one().with_context(|| format!("connection {} of {count}", i + 1))?;
            }
            println!("echo: {count} connections x {bytes} bytes in {:.3} s", took());
        }
        Command::Par { port, bytes, count, hold } => {
            let streams = traffic::connect_all(port, count)?;
            println!("par: {count} connected in {:.3} s", took());
            for stream in &streams {
                traffic::echo(stream, bytes)?;
            }
            pause(hold);
            drop(streams);
            println!("par: {count} connections x {bytes} bytes in {:.3} s", took());
        }
        Command::Push { port, bytes, chunk } => {
            traffic::push(&traffic::connect(port)?, bytes, chunk)?;
            println!("push: {bytes} bytes in {:.3} s", took());
        }
        Command::Sink { port } => {
            let bytes = traffic::connect(port)?.drain()?;
            println!("sink: {bytes} bytes in {:.3} s", took());
        }
        Command::Fill { port, wait } => {
            let stream = traffic::connect(port)?;
            let bytes = traffic::fill(&stream)?;
            println!("fill: full after {bytes} bytes");
            let start = Instant::now();
            stream.set_patience(Duration::from_secs_f64(wait))?;
            stream.send(&traffic::pattern(0, 4096)).context("the host does not drain the ring")?;
            println!("fill: blocked for {:.3} s", start.elapsed().as_secs_f64());
        }
        Command::Serve { port, backlog, count, delay, accept_delay } => {
            serve(port, backlog, count, Duration::from_millis(delay), Duration::from_millis(accept_delay))?;
        }
        Command::Connect { port, nonblock } => {
            let result = if nonblock {
                Stream::connect_nonblocking(port).and_then(|s| s.connected(PATIENCE))
            } else {
                Stream::connect(port).map(drop)
            };
            match &result {
                Ok(()) => println!("connect: ok after {:.3} s", took()),
                Err(error) => println!("connect: {error} after {:.3} s", took()),
            }
            result?;
        }
        Command::Bench(bench) => bench::run(&bench)?,
        Command::Demo { part: Some(name), .. } => demo::part(&name)?,
        Command::Demo { watched, part: None } => demo::run(watched)?,
        Command::Stage { port } => stage::run(&port)?,
        Command::Host { words } => host::host(&words.join(" "))?,
        Command::Ledger => print!("{}", host::ledger_text()?),
        Command::Caps { caps, command } => caps::exec(Caps::parse(&caps)?, &command)?,
        Command::Setcap { caps, file } => caps::give_to_file(Caps::parse(&caps)?, &file)?,
    }
    Ok(())
}

fn serve(port: u32, backlog: u32, count: usize, delay: Duration, accept_delay: Duration) -> Result<()> {
    let listener = Listener::bind(port, backlog).with_context(|| format!("cannot listen at {port}"))?;
    eprintln!("serve: listening at {port}, backlog {backlog}");
    thread::sleep(delay);
    let mut accepted = 0;
    for stream in traffic::accept(&listener, count, accept_delay, Duration::from_secs(3))? {
        accepted += 1;
        // Once there and back: with a host that echoes this shows that the connection works.
        traffic::echo(&stream, 10).with_context(|| format!("connection {accepted}"))?;
        traffic::close(stream)?;
    }
    println!("serve: {accepted} of {count} accepted and echoed");
    ensure!(accepted > 0, "nobody connected");
    Ok(())
}

fn pause(seconds: f64) {
    thread::sleep(Duration::from_secs_f64(seconds.clamp(0.0, 3600.0)));
}
