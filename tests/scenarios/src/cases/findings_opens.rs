//! Connections that do not come about, and what hvsock-top says of it.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};

use crate::once;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "findings_opens",
        "findings: drops at a full backlog, nobody accepts, nobody listens, time-outs, refusals, missing rights",
        run,
    )
};

/// What each looks for, in the order in which it is provoked.
const RULES: [&str; 6] =
    ["accept_starved", "backlog_full", "connect_refused", "connect_timeouts", "no_listener", "not_permitted"];

fn run() -> Result<()> {
    let top = Top::start()?;
    // All is well at first.
    host::host("mode 5400 echo")?;
    let stream = traffic::connect(5400)?;
    traffic::echo(&stream, 1000)?;
    traffic::close(stream)?;
    steps::exact(&top)?;
    top.finds_only(&[])?;

    let listener = Listener::bind(6600, 4).context("cannot listen")?;
    host::host("connect 6600 echo 0 12")?;
    let finding = top.finds("backlog_full")?;
    let ledger = steps::wait_ledger("the dropped are taken back", |l| {
        l.conns.iter().filter(|c| c.guest_port == 6600 && c.refused).count() >= 7
    })?;
    let drops = ledger.conns.iter().filter(|c| c.guest_port == 6600 && c.refused).count();
    ensure!(finding["port"] == 6600 && finding["severity"] == "critical", "{finding}");
    ensure!(finding["evidence"]["drops"] == drops, "{drops} were dropped: {finding}");
    ensure!(finding["evidence"]["max_backlog"] == 4, "the backlog is 4: {finding}");
    let finding = top.finds("accept_starved")?;
    let waiting = 12 - drops;
    ensure!(
        finding["port"] == 6600 && finding["evidence"]["waiting"] == waiting,
        "{waiting} wait: {finding}"
    );
    ensure!(finding["connections"].as_array().is_some_and(|c| c.len() == waiting.min(10)), "{finding}");
    let streams = traffic::accept(&listener, waiting, Duration::ZERO, steps::LIMIT)?;

    host::host("connect 6601 echo 0 5")?;
    let finding = top.finds("no_listener")?;
    ensure!(finding["port"] == 6601 && finding["evidence"]["tries"] == 5, "{finding}");

    host::host("mode 5401 ignore")?;
    ensure!(Stream::connect_within(5401, Duration::from_millis(300)).is_err(), "connected to nobody");
    let finding = top.finds("connect_timeouts")?;
    ensure!(finding["port"] == 5401 && finding["evidence"]["timed_out"] == 1, "{finding}");

    host::host("mode 5402 reject")?;
    let refused: Vec<_> = (0..6)
        .map(|_| thread::spawn(|| Stream::connect_within(5402, Duration::from_millis(500)).is_err()))
        .collect();
    for thread in refused {
        ensure!(thread.join().is_ok_and(|failed| failed), "connected to nobody");
    }
    let finding = top.finds("connect_refused")?;
    ensure!(finding["evidence"]["host_refusals"] == 6, "6 were refused: {finding}");

    let ended = once::shell("guest caps none -- guest serve 700 2>&1")?;
    ensure!(ended.code != Some(0), "bound a privileged port without the right: {ended:?}");
    let finding = top.finds("not_permitted")?;
    ensure!(finding["evidence"]["binds"] == 1, "{finding}");

    drop((streams, listener));
    steps::all_gone()?;
    top.finds_only(&RULES)?;
    // Nothing goes on for ever.
    top.wait("silence again", |s| {
        ensure!(s.list("findings")?.is_empty(), "{:?}", s.list("findings")?);
        Ok(())
    })?;
    top.stop()
}
