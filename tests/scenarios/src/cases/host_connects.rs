//! The host connects to a service of the guest's.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    smp: 2,
    ..Scenario::new("host_connects", "50 connections of the host's to a guest service", run)
};

const COUNT: usize = 50;

fn run() -> Result<()> {
    let top = Top::start()?;
    let listener = Listener::bind(6002, 128).context("cannot listen")?;
    let accepting = thread::spawn(move || traffic::accept(&listener, COUNT, Duration::ZERO, steps::LIMIT));
    host::host(&format!("connect 6002 echo 0 {COUNT}"))?;
    let mut streams = accepting.join().map_err(|_| anyhow!("the listener panicked"))??;
    ensure!(streams.len() == COUNT, "accepted {} of {COUNT}", streams.len());
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 100 + i)?;
    }
    steps::exact(&top)?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    steps::exact(&top)?;
    top.stop()
}
