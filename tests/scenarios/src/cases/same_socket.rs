//! One thread waits on a socket while another one uses it.

use std::io::ErrorKind;
use std::thread;

use anyhow::{Result, anyhow, ensure};
use hvsock_guest::{host, traffic};

use crate::compare::{self, near};
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::{Top, uptime};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "same_socket",
    "a thread waits for room, or for data, while another tries the same and does not wait: its wait goes on",
    run,
);

/// So often the other one tries.
const TRIES: u64 = 3;

fn run() -> Result<()> {
    host::host("mode 5640 stall")?;
    host::host("mode 5641 echo")?;
    let top = Top::start()?;
    sending(&top)?;
    receiving(&top)?;
    steps::all_gone()?;
    top.stop()
}

fn sending(top: &Top) -> Result<()> {
    let stream = traffic::connect(5640)?;
    // The last of these sends fails, too.
    traffic::fill(&stream)?;
    let other = stream.another()?;
    let begun = uptime()?;
    let waiting = thread::spawn(move || other.send(&[0; 100]));
    top.wait("a sender that waits", |s| compare::expect_of(s.connection()?, &[("tx/stalls", 1)]))?;
    for _ in 0..TRIES {
        let error = stream.send_now(&[0; 100]).err().map(|e| e.kind());
        ensure!(error == Some(ErrorKind::WouldBlock), "sent into a full ring: {error:?}");
    }
    top.wait("the same wait, and the other's tries", |s| {
        let value = s.connection()?;
        compare::expect_of(value, &[("tx/stalls", 1), ("tx/eagain", 1 + TRIES)])?;
        near("the stall so far", number(value, "tx/stalled_for_ns")?, s.number("uptime_ns")? - begun)
    })?;
    host::host("release 5640")?;
    waiting.join().map_err(|_| anyhow!("the sender panicked"))??;
    let imposed = uptime()? - begun;
    top.wait("the whole stall", |s| {
        let value = s.connection()?;
        compare::expect_of(value, &[("tx/stalls", 1), ("tx/stalled_for_ns", 0), ("tx/eagain", 1 + TRIES)])?;
        near("the stall", number(value, "tx/stall_ns")?, imposed)?;
        compare::accounting(s)
    })?;
    traffic::close(stream)?;
    steps::all_gone().map(drop)
}

fn receiving(top: &Top) -> Result<()> {
    let stream = traffic::connect(5641)?;
    let other = stream.another()?;
    let begun = uptime()?;
    let waiting = thread::spawn(move || other.receive_exact(&mut [0; 100]));
    top.wait("a reader that waits", |s| compare::expect_of(s.connection()?, &[("rx/waits", 1)]))?;
    for _ in 0..TRIES {
        let error = stream.receive_now(&mut [0; 100]).err().map(|e| e.kind());
        ensure!(error == Some(ErrorKind::WouldBlock), "received nothing: {error:?}");
    }
    top.wait("the same wait", |s| {
        let value = s.connection()?;
        compare::expect_of(value, &[("rx/waits", 1), ("rx/errors", 0)])?;
        near("the wait so far", number(value, "rx/waiting_for_ns")?, s.number("uptime_ns")? - begun)
    })?;
    host::host("write 100 5641")?;
    waiting.join().map_err(|_| anyhow!("the reader panicked"))??;
    let imposed = uptime()? - begun;
    top.wait("the whole wait", |s| {
        let value = s.connection()?;
        compare::expect_of(value, &[("rx/waits", 1), ("rx/waiting_for_ns", 0)])?;
        near("the wait", number(value, "rx/wait_ns")?, imposed)?;
        compare::accounting(s)
    })?;
    traffic::close(stream)
}
