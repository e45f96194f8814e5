//! Data that does not flow, and what hvsock-top says of it.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "findings_flow",
        "findings: a sender that waits, a slow host, a reader that does not read, idle connections, nonsense in a ring",
        run,
    )
};

fn run() -> Result<()> {
    let top = Top::start_with(&[
        "--threshold",
        "unread_ms=1500",
        "--threshold",
        "stall_ms=300",
        "--threshold",
        "idle_ms=3000",
        "--threshold",
        "idle_connections=3",
    ])?;
    for mode in ["5410 stall", "5411 echo", "5413 sink"] {
        host::host(&format!("mode {mode}"))?;
    }
    // A bulk transfer to a host that reads is nothing to complain about.
    let bulk = traffic::connect(5413)?;
    traffic::push(&bulk, 2 << 20, 16 << 10)?;
    drop(bulk);
    steps::all_gone()?;
    steps::exact(&top)?;
    top.finds_only(&[])?;

    let stalled = traffic::connect(5410)?;
    let sender = thread::spawn(move || traffic::push(&stalled, 100_000, 4096).map(|()| stalled));
    let finding = top.finds("send_stalled")?;
    let ledger = host::ledger()?;
    let Some(conn) = ledger.of_service(5410).next() else { anyhow::bail!("not in the ledger") };
    ensure!(finding["port"] == 5410 && finding["severity"] == "warning", "{finding}");
    ensure!(finding["evidence"]["ring_size_bytes"] == conn.out_size, "{}: {finding}", conn.line);
    ensure!(finding["evidence"]["ring_used_bytes"] == conn.out_used, "{}: {finding}", conn.line);
    top.wait("all of the finding", |s| {
        let found = s.list("findings")?.iter().find(|f| f["rule"] == "send_stalled").context("not found")?;
        let all = s.connections()?;
        let stalled = all.iter().find(|c| c["remote_port"] == 5410).context("not there")?;
        let text = |name: &str, words: &str| {
            ensure!(
                found[name].as_str().is_some_and(|t| t.contains(words)),
                "{name}: expected {words}: {found}"
            );
            Ok(())
        };
        text("summary", "senders of 1 connection at port 5410 wait for room")?;
        text("remedy", "set SO_SNDBUF before connect(2)")?;
        text("severity", "warning")?;
        ensure!(found["connections"] == serde_json::json!([stalled["id"]]), "not the one: {found}");
        let wait = number(stalled, "tx/stalled_for_ns")?;
        compare::expect_of(
            found,
            &[
                ("port", 5410),
                ("evidence/connections", 1),
                ("evidence/longest_wait_ns", wait),
                ("thresholds/stall_ms", 300),
            ],
        )
    })?;
    host::host("release 5410")?;
    drop(sender.join().map_err(|_| anyhow!("the sender panicked"))??);

    let unread = traffic::connect(5411)?;
    unread.send(&traffic::pattern(0, 1000))?;
    let finding = top.finds("reader_slow")?;
    ensure!(finding["port"] == 5411 && finding["severity"] == "info", "little is unread: {finding}");
    // The host echoes until its ring is full.
    unread.send(&traffic::pattern(1000, 20_000))?;
    let finding = top.finds("reader_slow")?;
    let ledger = host::ledger()?;
    let Some(conn) = ledger.of_service(5411).next() else { anyhow::bail!("not in the ledger") };
    if finding["severity"] == "warning" {
        ensure!(finding["evidence"]["ring_used_bytes"] == conn.in_used, "{}: {finding}", conn.line);
    }
    top.wait("that the ring is nearly full", |s| {
        let warned =
            s.list("findings")?.iter().any(|f| f["rule"] == "reader_slow" && f["severity"] == "warning");
        ensure!(warned, "{:?}", s.list("findings")?);
        Ok(())
    })?;
    unread.receive_exact(&mut vec![0; 21_000])?;
    drop(unread);

    let idle = traffic::connect_all(5411, 3)?;
    let busy = traffic::connect(5411)?;
    let finding = loop {
        // What is in use is not idle.
        traffic::echo(&busy, 10)?;
        match top.finds("idle_connections") {
            Ok(finding) => break finding,
            Err(error) if error.to_string().contains("idle") => {}
            Err(error) => return Err(error),
        }
    };
    let count = finding["evidence"]["connections"].as_u64();
    ensure!(finding["port"] == 5411 && count.is_some_and(|n| n >= 3), "{finding}");
    drop((idle, busy));

    host::host("mode 5412 corrupt 8")?;
    let spoilt = traffic::connect(5412)?;
    spoilt.send(&traffic::pattern(0, 1000))?;
    let finding = top.finds("host_nonsense")?;
    ensure!(finding["severity"] == "critical", "{finding}");
    ensure!(finding["connections"].as_array().is_some_and(|c| c.len() == 1), "one is spoilt: {finding}");
    host::host("release")?;
    drop(spoilt);
    steps::all_gone()?;
    top.finds_only(&["host_nonsense", "idle_connections", "reader_slow", "send_stalled"])?;
    top.stop()
}
