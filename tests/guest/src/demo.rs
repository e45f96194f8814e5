//! A busy guest: services of every kind at their own pace, until killed.
//!
//! Sized for a software-emulated CPU: all of it together keeps such a CPU a fraction busy. Each part is a process of its own, as services
//! are, and has the name of what it does.

use std::ffi::CString;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hvsock_guest::host::host;
use hvsock_guest::traffic;
use hvsock_guest::vsock::Listener;

/// What the host plays. Ports as a person would expect them: echo services around 5000, special ones after.
const SERVICES: &[&str] = &[
    "mode 5000 echo",
    "mode 5001 echo",
    "mode 5002 echo",
    "mode 5010 sink",
    "mode 5011 source 400000",
    "mode 5020 stall",
    "mode 5021 slow 40",
    "mode 5022 ignore",
    "mode 5023 hold 150",
];

/// One part of the mix: does its thing once; what fails is tried again.
type Part = (&'static str, Duration, fn() -> Result<()>);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

const PARTS: &[Part] = &[
    ("steady", ms(0), || steady(5000, 400, ms(100))),
    ("chatty", ms(0), || steady(5001, 64, ms(20))),
    ("bulky", ms(0), || steady(5002, 60_000, ms(400))),
    ("push", ms(300), || traffic::push(&traffic::connect(5010)?, 300_000, 8192)),
    ("download", ms(700), || traffic::connect(5011)?.drain().map(drop).map_err(Into::into)),
    ("stalled", ms(500), stalled),
    ("slow", ms(500), || traffic::push(&traffic::connect(5021)?, 200_000, 4000)),
    ("unanswered", ms(4000), || traffic::connect(5022).map(drop)),
    ("late", ms(1500), || traffic::connect(5023).and_then(traffic::close)),
    ("short", ms(250), || {
        let stream = traffic::connect(5000)?;
        traffic::echo(&stream, 1000)?;
        traffic::close(stream)
    }),
    ("burst", ms(6000), burst),
    ("web", ms(0), served),
    ("overflow", ms(0), overflowing),
];

/// The part that begins at once although nobody watches yet: its first connection is older than the probes.
const EARLY: &str = "chatty";

/// Where the kernel says which of its functions somebody has attached to, by trampoline and by kprobe.
const ATTACHED: [&str; 2] = ["/sys/kernel/tracing/enabled_functions", "/sys/kernel/debug/kprobes/list"];

/// The one that hvsock-top comes to last: what happens inside of another function it attaches to before that.
const LAST: &str = "hvs_connect";

/// Without anybody who attaches to it the show goes on.
const WATCH_LIMIT: Duration = ms(30_000);

/// Runs all parts until killed. `watched`: most of them only from when hvsock-top has attached, so that it sees how they begin.
pub(crate) fn run(watched: bool) -> Result<()> {
    for service in SERVICES {
        host(service)?;
    }
    let mut parts = Vec::new();
    let mut begin = |early: bool| -> Result<()> {
        for (name, _, _) in PARTS.iter().filter(|(name, _, _)| (*name == EARLY) == early) {
            let child = Command::new("/proc/self/exe").args(["demo", "--part", name]).spawn();
            parts.push(child.with_context(|| format!("cannot start {name}"))?);
        }
        Ok(())
    };
    begin(true)?;
    if watched {
        wait_for_watcher();
    }
    begin(false)?;
    for mut part in parts {
        part.wait().context("lost a part")?;
    }
    bail!("all parts have ended")
}

fn wait_for_watcher() {
    let attached = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.contains(LAST));
    let begun = Instant::now();
    while begun.elapsed() < WATCH_LIMIT && !ATTACHED.into_iter().any(attached) {
        thread::sleep(ms(100));
    }
    // Then it looks at what was there before, and begins: what fails before that it could not tell why.
    thread::sleep(ms(2000));
}

/// Runs one part until killed.
pub(crate) fn part(name: &str) -> Result<()> {
    let Some(&(name, pause, part)) = PARTS.iter().find(|(its, _, _)| *its == name) else {
        bail!("no part of the demo is called {name}");
    };
    // The process's name is what hvsock-top shows.
    let c_name = CString::new(name)?;
    rustix::thread::set_name(&c_name).context("cannot name the process")?;
    loop {
        // A connection that fails is part of the show (one service never answers); say it once in a while.
        if let Err(error) = part()
            && name != "unanswered"
        {
            eprintln!("demo: {name}: {error:#}");
            thread::sleep(ms(1000));
        }
        thread::sleep(pause);
    }
}

/// One connection in steady use for half a minute or so, then a new one.
fn steady(port: u32, bytes: usize, pause: Duration) -> Result<()> {
    let stream = traffic::connect(port)?;
    let end = Instant::now() + Duration::from_secs(30);
    while Instant::now() < end {
        traffic::echo(&stream, bytes)?;
        thread::sleep(pause);
    }
    traffic::close(stream)
}

/// Fills the ring, waits for the host to come back, which takes it five seconds.
fn stalled() -> Result<()> {
    let stream = traffic::connect(5020)?;
    traffic::fill(&stream)?;
    let release = thread::spawn(|| {
        thread::sleep(Duration::from_secs(5));
        host("release 5020")
    });
    stream.send(&traffic::pattern(0, 4096)).context("the stalled host has not come back")?;
    release.join().map_err(|_| anyhow::anyhow!("the releasing thread died"))??;
    traffic::close(stream)
}

/// Thirty connections at once.
fn burst() -> Result<()> {
    let streams = traffic::connect_all(5001, 30)?;
    for stream in &streams {
        traffic::echo(stream, 2000)?;
    }
    thread::sleep(ms(1500));
    streams.into_iter().try_for_each(traffic::close)
}

/// A service of the guest's: the host connects twice a second, in turn to be served within some milliseconds.
fn served() -> Result<()> {
    let listener = Listener::bind(8080, 16)?;
    loop {
        host("connect 8080 echo")?;
        if let Some(stream) = listener.accept(Duration::from_secs(2))? {
            traffic::echo(&stream, 3000)?;
            thread::sleep(ms(300));
            traffic::close(stream)?;
        }
        thread::sleep(ms(200));
    }
}

/// A service that is too slow for its clients: the backlog overflows and connections are dropped.
fn overflowing() -> Result<()> {
    let listener = Listener::bind(9090, 3)?;
    loop {
        host("connect 9090 echo 0 6")?;
        thread::sleep(Duration::from_secs(4));
        for stream in traffic::accept(&listener, 6, ms(0), ms(200))? {
            traffic::close(stream)?;
        }
        thread::sleep(Duration::from_secs(3));
    }
}
