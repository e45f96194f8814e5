//! The terminal interface on a terminal of its own, with live traffic: what stands on the screen is what the ledger says.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::Ledger;
use hvsock_guest::release::{self, COUNTS_SKIPPED};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use hvsock_screen::Screen;
use hvsock_screen::sheet::Sheet;
use hvsock_screen::shows::{self, CONNECTIONS_230 as CONNECTIONS, Guest, has};
use rustix::process::Signal;

use crate::runner::Scenario;
use crate::steps::{self, LIMIT};
use crate::top::START;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "screen",
        "the terminal interface with live traffic: each number on the screen is the ledger's",
        run,
    )
};

const ECHO: u32 = 5700;
const STALL: u32 = 5701;
const OVERFLOW: u32 = 6700;
const BACKLOG: u32 = 2;
const CONNECTS: usize = 7;

fn run() -> Result<()> {
    host::host(&format!("mode {ECHO} echo"))?;
    host::host(&format!("mode {STALL} stall"))?;
    // The guest says nothing of those it drops: the host must not take an offer back before the guest has come to it.
    host::host("refuse_delay 4000")?;
    let mut screen = start()?;
    let streams = busy()?;
    let listener = overflow()?;
    header(&screen)?;
    connections(&screen)?;
    listeners(&screen)?;
    overview(&screen)?;
    frozen(&screen)?;
    smaller(&screen)?;
    for stream in streams {
        drop(stream);
    }
    drop(listener);
    host::host("release")?;
    steps::all_gone()?;
    ended(&screen)?;
    screen.press("q")?;
    let status = screen.ended(LIMIT)?;
    ensure!(status.success(), "{status}: {}", screen.text());
    screen.is_given_back()?;
    // What a killed one leaves in the kernel, the bed looks for.
    let mut screen = start()?;
    screen.signal(Signal::TERM)?;
    let status = screen.ended(LIMIT)?;
    ensure!(status.success(), "after SIGTERM: {status}: {}", screen.text());
    screen.is_given_back()?;
    blind()
}

fn command() -> Command {
    let mut command = Command::new("hvsock-top");
    command.env("TERM", "xterm-256color").env("LANG", "C.UTF-8");
    command
}

fn start() -> Result<Screen> {
    let screen = Screen::start(command().args(["--interval", "250ms"]), 50, 230)?;
    screen.wait("the header", START, |text| text.contains(" conns "))?;
    ensure!(screen.is_taken()?, "the terminal is as it was");
    Ok(screen)
}

/// Connections that have carried different amounts, one of them with a full ring.
fn busy() -> Result<Vec<Stream>> {
    let mut streams = traffic::connect_all(ECHO, 4)?;
    for (n, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 700 + 9_000 * n * n)?;
    }
    let stalled = traffic::connect(STALL)?;
    traffic::fill(&stalled)?;
    streams.push(stalled);
    Ok(streams)
}

/// More connects of the host's than the backlog takes; one is accepted.
fn overflow() -> Result<(Listener, Stream)> {
    let listener = Listener::bind(OVERFLOW, BACKLOG)?;
    host::host(&format!("connect {OVERFLOW} echo 0 {CONNECTS}"))?;
    let decided =
        |l: &Ledger| l.of_service(OVERFLOW).filter(|c| c.opened_ns > 0 || c.refused).count() == CONNECTS;
    steps::wait_ledger("all offers are decided", decided)?;
    let accepted = listener.accept(LIMIT)?.context("nothing to accept")?;
    Ok((listener, accepted))
}

/// What this guest does, beside what the ledger says.
const GUEST: Guest<'_> =
    Guest { listening: &[OVERFLOW], never_accepted: 0, waits: None, unread: 0, tells: false };

/// The same where it matters whether the kernel says what it missed.
fn guest() -> Result<Guest<'static>> {
    Ok(Guest { tells: release::is_from(&running()?, COUNTS_SKIPPED)?, ..GUEST })
}

/// The kernel's release.
fn running() -> Result<String> {
    Ok(std::fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned())
}

fn header(screen: &Screen) -> Result<()> {
    screen.wait_for("the header's numbers", LIMIT, |text| {
        shows::header(text, &host::ledger()?, &guest()?, 230)?;
        has(text.lines().next().unwrap_or_default(), &format!("Linux {}", running()?))
    })?;
    Ok(())
}

fn connections(screen: &Screen) -> Result<()> {
    screen.press("2x")?;
    screen.wait_for("each connection's numbers", LIMIT, |text| {
        shows::connections(text, CONNECTIONS, &host::ledger()?, &GUEST)
    })?;
    screen.press(&format!("/port:{STALL}\r"))?;
    screen.wait_for("what the filter leaves", LIMIT, |text| {
        let sheet = Sheet::read(text, CONNECTIONS)?;
        ensure!(sheet.len() == 1, "{} rows", sheet.len());
        sheet.row("PORT", &STALL.to_string()).map(drop)
    })?;
    screen.press("\u{1b}")?;
    // A key that comes too soon after it is taken for one with Alt.
    screen.wait("that the filter is gone", LIMIT, |text| !text.contains("filter: port"))?;
    Ok(())
}

fn listeners(screen: &Screen) -> Result<()> {
    screen.press("4")?;
    screen.wait_for("the listener's numbers", LIMIT, |text| {
        shows::listener(text, shows::LISTENERS_120, &host::ledger()?, OVERFLOW, 1, BACKLOG)
    })?;
    Ok(())
}

fn overview(screen: &Screen) -> Result<()> {
    screen.press("1")?;
    screen.wait_for("the opens by outcome", LIMIT, |text| shows::opens(text, &host::ledger()?, &GUEST))?;
    screen.press("8")?;
    screen.wait("the accounting", LIMIT, |text| text.contains("events are accounted for"))?;
    Ok(())
}

/// Frozen the picture stays, and what has come meanwhile is there afterwards.
fn frozen(screen: &Screen) -> Result<()> {
    screen.press("2 ")?;
    let before = screen.wait("that it is frozen", LIMIT, |text| text.contains("FROZEN"))?;
    let row = |text: &str| Sheet::read(text, CONNECTIONS).map(|sheet| sheet.len());
    let rows = row(&before)?;
    let one = traffic::connect(ECHO)?;
    traffic::echo(&one, 123)?;
    std::thread::sleep(Duration::from_secs(2));
    ensure!(row(&screen.text())? == rows, "it goes on: {}", screen.text());
    screen.press(" ")?;
    screen.wait_for("the connection that came meanwhile", LIMIT, |text| {
        ensure!(row(text)? == rows + 1);
        Sheet::read(text, CONNECTIONS)?.row("TX TOTAL", "123 B").map(drop)
    })?;
    traffic::close(one)
}

/// On the smallest usual terminal the same is there.
fn smaller(screen: &Screen) -> Result<()> {
    screen.resize(24, 80)?;
    screen.wait_for("the same on 80 by 24", LIMIT, |text| {
        let ledger = host::ledger()?;
        shows::header(text, &ledger, &guest()?, 80)?;
        let sheet = Sheet::read(text, &CONNECTIONS[..6])?;
        sheet.row("PORT", &STALL.to_string()).map(drop)
    })?;
    screen.resize(50, 230)
}

/// When all is gone the screen says so, and the events tell it.
fn ended(screen: &Screen) -> Result<()> {
    screen.press("9")?;
    screen.wait_for("every end", LIMIT, |text| {
        let ledger = host::ledger()?;
        has(text, " conns 0 ")?;
        let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
        let opened = ledger.conns.iter().filter(|c| c.opened_ns > 0 && !c.refused).count();
        ensure!(count(" opened ") == opened, "{} opened, {opened} in the ledger", count(" opened "));
        ensure!(count(" closed ") == opened, "{} closed, {opened} in the ledger", count(" closed "));
        ensure!(
            count("backlog full") == shows::dropped(&ledger, &GUEST),
            "{} dropped",
            count("backlog full")
        );
        Ok(())
    })?;
    Ok(())
}

/// Somebody without the privilege sees doctor's answer and gets its exit code.
fn blind() -> Result<()> {
    use std::os::unix::process::CommandExt as _;
    let mut screen = Screen::start(command().uid(65534).gid(65534), 40, 120)?;
    screen.wait("doctor's answer", START, |text| {
        text.contains("cannot be watched") && text.contains("What doctor found") && text.contains("setcap")
    })?;
    screen.press("q")?;
    let status = screen.ended(LIMIT)?;
    ensure!(status.code() == Some(3), "{status}: {}", screen.text());
    screen.is_given_back()
}
