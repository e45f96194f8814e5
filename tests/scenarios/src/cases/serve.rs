//! `hvsock-top serve` and its clients, the hostile ones too.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::{Ledger, State};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::metrics;
use crate::runner::Scenario;
use crate::serve::{self, ADDRESS, Serve, ask, get};
use crate::snapshot::Snapshot;
use crate::steps::{self, LIMIT};

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(3),
    ..Scenario::new(
        "serve",
        "metrics, Snapshots and health on TCP and vsock say what the ledger says, whatever other clients do",
        run,
    )
};

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let serve = Serve::start(&["--listen", "127.0.0.1:9464", "--listen", "vsock:9464"])?;
    let listener = Listener::bind(6100, 1).context("cannot listen")?;
    // One more than the backlog takes on any kernel: at least one is dropped.
    host::host("connect 6100 echo 0 3")?;
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, 5000)?;
    }
    traffic::close(streams.remove(0))?;
    let waiting = steps::wait_ledger("offers beyond the backlog are taken back", |l| {
        l.of_service(6100).all(|c| c.opened_ns > 0 || (c.refused && !c.live()))
    })?;
    let dropped = waiting.of_service(6100).filter(|c| c.refused).count();
    ensure!(dropped > 0, "nothing was dropped");
    agrees("after traffic and drops")?;
    formats(dropped)?;
    over_vsock()?;
    agrees("after a request over vsock")?;

    let hanging = hostile()?;
    traffic::echo(&streams[0], 20_000)?;
    agrees("among clients that hang")?;
    healthy().context("clients that hang make it unhealthy")?;
    streams.drain(..).try_for_each(traffic::close)?;
    drop(listener);
    agrees("at the end")?;
    drop(hanging);
    ends_in_time(serve)
}

/// SIGTERM cuts off clients that hang, within a second.
fn ends_in_time(serve: Serve) -> Result<()> {
    let idle = TcpStream::connect(ADDRESS)?;
    let mut slow = TcpStream::connect(ADDRESS)?;
    slow.write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ")?;
    let begun = Instant::now();
    serve.terminate()?;
    for mut client in [idle, slow] {
        client.set_read_timeout(Some(LIMIT))?;
        // The end, or a reset.
        ensure!(client.read(&mut [0]).unwrap_or(0) == 0, "a client that hangs is answered");
    }
    let took = begun.elapsed();
    // Clients get 300 ms; what is more comes from the emulation, and from a Snapshot that is under way. What follows is the
    // kernel's: it detaches every program.
    ensure!(took < Duration::from_secs(2), "clients that hang keep it for {took:?}");
    serve.ended()
}

/// Waits for the metrics to say what the ledger says.
fn agrees(when: &str) -> Result<()> {
    serve::until(LIMIT, &format!("{when}: what the ledger says"), || {
        let ledger = host::ledger()?;
        metrics::exact(&serve::scrape()?, &ledger)
    })
}

/// The same figures in every format.
fn formats(dropped: usize) -> Result<()> {
    let plain = serve::scrape()?;
    let full =
        serve::sum(&plain, "hvsock_listener_drops_total", &[("port", "6100"), ("reason", "backlog_full")])?;
    ensure!(full.to_bits() == (dropped as f64).to_bits(), "drops: expected {dropped}, got {full}");
    let open = get(ADDRESS, "/metrics", "application/openmetrics-text; version=1.0.0")?;
    ensure!(open.head.contains("application/openmetrics-text; version=1.0.0"), "{}", open.head);
    ensure!(open.body.ends_with("# EOF\n"), "no end mark");
    metrics::exact(&serve::parse(&open.body)?, &host::ledger()?).context("OpenMetrics")?;
    let protobuf =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";
    let binary = get(ADDRESS, "/metrics", protobuf)?;
    ensure!(
        binary.head.contains("application/vnd.google.protobuf") && binary.body.len() > 10_000,
        "{}",
        binary.head
    );

    healthy()?;
    let snapshot = get(ADDRESS, "/snapshot", "")?;
    ensure!(snapshot.status == 200 && snapshot.head.contains("application/json"), "{}", snapshot.head);
    let (snapshot, ledger) = (Snapshot::parse(&snapshot.body)?, host::ledger()?);
    compare::live(&snapshot, &ledger)?;
    compare::totals(&snapshot, &ledger)?;
    ensure!(get(ADDRESS, "/nothing", "")?.status == 404, "/nothing is there");
    let post = ask(ADDRESS, "POST /metrics HTTP/1.0\r\nContent-Length: 0\r\n\r\n")?;
    ensure!(post.status == 405, "POST: {}", post.head);
    Ok(())
}

/// An emulated CPU may be late with a Snapshot now and then.
fn healthy() -> Result<()> {
    serve::until(LIMIT, "it is healthy", || {
        let health = get(ADDRESS, "/healthz", "")?;
        ensure!(health.status == 200 && health.body.contains("\"status\":\"ok\""), "{health:?}");
        Ok(())
    })
}

/// The host asks for `/` and gets, byte for byte as many, what a client on TCP gets. Its connection is counted like any other.
fn over_vsock() -> Result<()> {
    let expected = get(ADDRESS, "/", "")?;
    ensure!(expected.status == 200, "/: {}", expected.head);
    host::host("connect 9464 get")?;
    let done = |l: &Ledger| l.of_service(9464).any(|c| c.state == State::Gone);
    let ledger = steps::wait_ledger("the answer over vsock", done)?;
    let conn = ledger.of_service(9464).next().context("no connection")?;
    ensure!(
        conn.rx_bytes == expected.bytes as u64 && conn.rx_fin,
        "expected {} bytes and a FIN over vsock, the ledger says {}",
        expected.bytes,
        conn.line
    );
    Ok(())
}

/// Clients that connect and say nothing, or say it slowly, or too much of it. While they hang others are served.
fn hostile() -> Result<Vec<TcpStream>> {
    let mut hanging = Vec::new();
    for n in 0..200 {
        let mut stream = TcpStream::connect(ADDRESS).with_context(|| format!("idle client {n}"))?;
        if n % 4 == 0 {
            stream.write_all(b"GET /snapshot HTTP/1.1\r\nHost: x\r\nX-Slow: ")?;
        }
        hanging.push(stream);
    }
    // One that asks for much and reads none of it.
    let mut deaf = TcpStream::connect(ADDRESS)?;
    deaf.write_all(b"GET /snapshot HTTP/1.1\r\nHost: x\r\n\r\n")?;
    hanging.push(deaf);
    let mut huge = TcpStream::connect(ADDRESS)?;
    // It may be turned away before all of it is sent.
    let _ = huge.write_all(format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(200_000)).as_bytes());
    hanging.push(huge);
    let begun = Instant::now();
    let answer = get(ADDRESS, "/metrics", "")?;
    let took = begun.elapsed();
    // Well before the time-out that ends those who hang.
    ensure!(answer.status == 200 && took < Duration::from_secs(4), "{} after {took:?}", answer.head);
    Ok(hanging)
}
