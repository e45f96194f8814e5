//! hvsock-top comes late.

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "started_after",
    "connections older than hvsock-top: counted from its start, and known as old",
    run,
);

const BEFORE: usize = 5000;
const AFTER: usize = 700;

fn run() -> Result<()> {
    host::host("mode 5000 echo")?;
    let mut streams = traffic::connect_all(5000, 3)?;
    for stream in &streams {
        traffic::echo(stream, BEFORE)?;
    }
    let top = Top::start()?;
    for stream in &streams {
        traffic::echo(stream, AFTER)?;
    }
    // One that it sees from the beginning.
    streams.push(traffic::connect(5000)?);
    traffic::echo(&streams[3], BEFORE)?;

    let ledger = host::ledger()?;
    top.wait("old connections counted from its start, the new one from the beginning", |s| {
        let seen = s.connections()?;
        ensure!(seen.len() == 4, "connections: expected 4, got {}", seen.len());
        for conn in ledger.live() {
            let value = compare::find(seen, conn)?;
            let old = conn.id < ledger.conns[3].id;
            let bytes = if old { AFTER } else { BEFORE } as u64;
            let packets = if old { 1 } else { 2 };
            for (path, expected) in
                [("tx/bytes", bytes), ("rx/bytes", bytes), ("tx/packets", packets), ("rx/packets", packets)]
            {
                let got = number(value, path)?;
                ensure!(got == expected, "{path}: expected {expected}, got {got} in {value}");
            }
            ensure!(value["known_since_start"] == !old, "known_since_start is wrong in {value}");
        }
        compare::accounting(s)
    })?;
    streams.drain(..).try_for_each(traffic::close)?;
    steps::all_gone()?;
    top.wait("no connection is left", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        compare::expect(s, "totals/tx_bytes", (3 * AFTER + BEFORE) as u64)?;
        compare::expect(s, "totals/rx_bytes", (3 * AFTER + BEFORE) as u64)?;
        compare::expect(s, "opens/to_host/ok", 1)?;
        compare::accounting(s)
    })?;
    top.stop()
}
