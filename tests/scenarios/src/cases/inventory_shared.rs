//! Sockets that several processes have open, and a listener that is closed and not gone.

use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::faults::Fault;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "inventory_shared",
        "sockets that two processes have: the first has it, then who is left; a closed listener that the kernel still holds is gone",
        run,
    )
};

/// More than the time between two walks over all files.
const WALK: Duration = Duration::from_millis(2500);

/// The kernel holds the listener for so long after its close.
const HELD_MS: u64 = 8000;

/// A process that has these files, too; killed when dropped.
struct Sharing(Child);

impl Sharing {
    fn of(files: &[BorrowedFd<'_>]) -> Result<Self> {
        // A copy made like this outlives exec; ours is closed when the other has its own.
        let copies = files.iter().map(rustix::io::dup).collect::<Result<Vec<_>, _>>()?;
        let child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn();
        drop(copies);
        child.map(Self).context("cannot run sleep")
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let older = traffic::connect(5000)?;
    let listener = Listener::bind(6003, 5).context("cannot listen")?;
    let first = Sharing::of(&[older.as_fd(), listener.as_fd()])?;
    let top = Top::start()?;
    let newer = traffic::connect(5000)?;
    let second = Sharing::of(&[newer.as_fd()])?;
    let (older_port, newer_port) = (older.ports()?.guest, newer.ports()?.guest);
    let mine = |s: &Snapshot| {
        owner(connection(s, older_port)?, std::process::id(), "scenarios", Some(older.as_raw()))?;
        owner(connection(s, newer_port)?, std::process::id(), "scenarios", Some(newer.as_raw()))?;
        owner(s.listener(6003)?, std::process::id(), "scenarios", Some(listener.as_fd().as_raw_fd()))
    };
    top.wait("whose they are", mine)?;
    thread::sleep(WALK);
    top.wait("the same after another walk", mine)?;

    // What this process closes is the other's alone.
    drop((older, listener));
    top.wait("who has them now", |s| {
        owner(connection(s, older_port)?, first.0.id(), "sleep", None)?;
        owner(s.listener(6003)?, first.0.id(), "sleep", None)
    })?;
    drop((first, second, newer));
    steps::all_gone()?;
    held(&top)?;
    top.stop()
}

trait Raw {
    fn as_raw(&self) -> i32;
}

impl Raw for Stream {
    fn as_raw(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}

fn connection(s: &Snapshot, port: u32) -> Result<&Value> {
    s.connections()?.iter().find(|c| c["local_port"] == port).context("the connection is not there")
}

/// It belongs to this process, under this descriptor if it is told.
fn owner(value: &Value, process: u32, name: &str, descriptor: Option<i32>) -> Result<()> {
    ensure!(value["pid"] == process && value["comm"] == name, "expected {name} {process}: {value}");
    ensure!(descriptor.is_none_or(|fd| value["fd"] == fd), "expected descriptor {descriptor:?}: {value}");
    Ok(())
}

/// The kernel's worker has found the listener and is about to look closer when it is closed.
fn held(top: &Top) -> Result<()> {
    host::host("reset")?;
    let listener = Listener::bind(6004, 0).context("cannot listen")?;
    // This one fills the backlog: the next would find a listener that it must not use.
    host::host("connect 6004 echo")?;
    steps::wait_ledger("one is in the queue", |l| l.conns.iter().any(|c| c.opened_ns > 0))?;
    top.wait("the listener", |s| {
        ensure!(s.listener(6004)?["backlog"] == 1, "one waits: {}", s.listener(6004)?);
        Ok(())
    })?;
    let fault = Fault::delay("lock_sock_nested", HELD_MS, "hvs_probe")?;
    host::host("connect 6004 echo")?;
    fault.wait()?;
    drop(listener);
    top.wait_for(Duration::from_millis(HELD_MS / 2), "nobody listens there any more", |s| {
        let value = s.listener(6004)?;
        ensure!(value["backlog"].is_null() && value["pid"].is_null(), "it is closed: {value}");
        Ok(())
    })?;
    fault.end()?;
    let ledger = steps::all_gone()?;
    ensure!(ledger.conns.iter().filter(|c| c.opened_ns > 0).count() == 1, "the second was opened");
    Ok(())
}
