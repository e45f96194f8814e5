//! The events: one for each thing that happens.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::Direction;
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::events::{Events, count};
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::uptime;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "lifecycle",
    "events: one line for each open, accept and close of both directions, with the ledger's bytes",
    run,
);

const MS: u64 = 1_000_000;
const EACH: usize = 20;

fn run() -> Result<()> {
    host::host("mode 5470 echo")?;
    let events = Events::start()?;
    let begun = uptime()?;
    let listener = Listener::bind(6020, 64).context("cannot listen")?;
    host::host(&format!("connect 6020 echo 0 {EACH}"))?;
    let mut streams = traffic::connect_all(5470, EACH)?;
    streams.extend(traffic::accept(&listener, EACH, Duration::ZERO, steps::LIMIT)?);
    for (i, stream) in streams.iter().enumerate() {
        traffic::echo(stream, 100 + 11 * i)?;
    }
    std::thread::sleep(Duration::from_millis(500));
    drop(streams);
    let ledger = steps::all_gone()?;
    let ended = uptime()?;
    events.wait("one event for everything", |seen| {
        for conn in &ledger.conns {
            let direction = if conn.dir == Direction::FromHost { "from_host" } else { "to_host" };
            let mine: Vec<&Value> = seen
                .iter()
                .filter(|e| e["local_port"] == conn.guest_port && e["remote_port"] == conn.host_port)
                .collect();
            let kinds: Vec<&str> = mine.iter().filter_map(|e| e["event"].as_str()).collect();
            let wanted: &[&str] = match conn.dir {
                Direction::FromHost => &["opened", "accepted", "closed"],
                Direction::ToHost => &["opened", "closed"],
            };
            ensure!(kinds == wanted, "expected {wanted:?}, got {kinds:?}\n  ledger: {}", conn.line);
            for event in &mine {
                ensure!(event["id"] == mine[0]["id"] && event["relid"] == conn.relid, "another's: {event}");
                ensure!(event["direction"] == direction && event["time"].is_string(), "{event}");
                let nobody = event["event"] == "opened" && conn.dir == Direction::FromHost;
                ensure!(
                    event["comm"].is_null() == nobody && event["pid"].is_null() == nobody,
                    "whose? {event}"
                );
                ensure!(nobody || event["comm"] == "scenarios", "not ours: {event}");
            }
            let closed = mine[mine.len() - 1];
            ensure!(
                number(closed, "tx_bytes")? == conn.rx_bytes && number(closed, "rx_bytes")? == conn.tx_bytes,
                "the bytes: {closed}\n  ledger: {}",
                conn.line
            );
            ensure!(closed["why"] == "graceful" && closed["unread_bytes"] == 0, "{closed}");
            // It ends when the guest has heard of the end, and before it gives the relid back.
            let life = number(closed, "duration_ns")?;
            let (least, most) = (conn.rescinded_ns - conn.opened_ns, conn.released_ns - conn.opened_ns);
            ensure!(least - 2 * MS <= life && life <= most, "the life: {least} to {most} ns, got {life}");
            ensure!(
                number(mine[0], "duration_ns")? < ended - begun,
                "an open that took longer than all: {}",
                mine[0]
            );
        }
        let ids: std::collections::BTreeSet<_> = seen.iter().filter_map(|e| e["id"].as_str()).collect();
        ensure!(ids.len() == 2 * EACH, "expected {} ids, got {}", 2 * EACH, ids.len());
        ensure!(count(seen, "accepted", None, 6020) == EACH, "accepts");
        ensure!(seen.len() == 5 * EACH, "expected {} events in all, got {}", 5 * EACH, seen.len());
        Ok(())
    })?;
    events.stop()
}
