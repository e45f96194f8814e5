//! Kprobes instead of trampolines.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use super::backlog;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "kprobes",
    "with --kprobes: echo, push, source, accept and backlogs, as exact as ever",
    run,
);

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    host::host("mode 5001 sink")?;
    host::host("mode 5002 source 1000000")?;
    let top = Top::start_with(&["--kprobes"])?;
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, 5000)?;
    }
    let sink = traffic::connect(5001)?;
    traffic::push(&sink, 1_000_000, 50_000)?;
    let source = traffic::connect(5002)?;
    source.receive_exact(&mut vec![0; 1_000_000])?;
    let listener = Listener::bind(6010, 8).context("cannot listen")?;
    host::host("connect 6010 echo 0 5")?;
    for _ in 0..5 {
        let stream = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
        traffic::echo(&stream, 777)?;
        streams.push(stream);
    }
    let snapshot = steps::exact(&top)?;
    for probe in snapshot.list("probes")? {
        let fine = probe["state"] != "active" || probe["backend"] != "fentry";
        ensure!(fine && probe["state"] != "failed", "not a kprobe: {probe}");
    }
    streams.extend([sink, source]);
    streams.into_iter().try_for_each(traffic::close)?;
    steps::all_gone_exact(&top)?;
    backlog::overflow(&top, None)?;
    top.stop()
}
