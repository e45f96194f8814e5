//! Metrics against the ledger: every figure that both have must be the same, exactly.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use hvsock_guest::ledger::{Conn, Direction, Ledger, State};

use crate::serve::{Series, sum};

/// Every counter of the ledger, for each service. For when all has been read, and a tool that was there before the first connection.
pub(crate) fn exact(series: &[Series], ledger: &Ledger) -> Result<()> {
    let service = |conn: &Conn| match conn.dir {
        Direction::FromHost => ("from_host", conn.guest_port),
        Direction::ToHost => ("to_host", conn.host_port),
    };
    let mut wrong = Vec::new();
    let mut expect = |name: &str, labels: &[(&str, &str)], expected: u64| match sum(series, name, labels) {
        Ok(got) if got.to_bits() == (expected as f64).to_bits() => {}
        Ok(got) => wrong.push(format!("{name}{labels:?}: expected {expected}, got {got}")),
        Err(error) => wrong.push(format!("{name}{labels:?}: expected {expected}, but {error}")),
    };
    let opened = || ledger.conns.iter().filter(|c| c.opened_ns > 0);
    let all: BTreeSet<_> = opened().map(service).collect();
    for at @ (direction, port) in all {
        let port = port.to_string();
        let labels = [("direction", direction), ("port", port.as_str())];
        let conns = || opened().filter(|c| service(c) == at);
        let total = |figure: fn(&Conn) -> u64| conns().map(figure).sum::<u64>();
        expect("hvsock_transmit_bytes_total", &labels, total(|c| c.rx_bytes));
        expect("hvsock_transmit_packets_total", &labels, total(|c| c.rx_packets));
        expect("hvsock_receive_bytes_total", &labels, total(|c| c.tx_bytes));
        expect("hvsock_receive_packets_total", &labels, total(|c| c.tx_packets));
        expect("hvsock_connections", &labels, conns().filter(|c| c.live()).count() as u64);
        expect(
            "hvsock_connections_closed_total",
            &labels,
            conns().filter(|c| c.state == State::Gone).count() as u64,
        );
        expect("hvsock_opens_total", &[labels[0], labels[1], ("result", "ok")], conns().count() as u64);
    }
    // What never came to be open, by whatever branch.
    let lost = || ledger.conns.iter().filter(|c| c.opened_ns == 0 && !c.live());
    let services: BTreeSet<_> = lost().map(service).collect();
    for at @ (direction, port) in services {
        let port = port.to_string();
        let labels = [("direction", direction), ("port", port.as_str())];
        let ok = opened().filter(|c| service(c) == at).count();
        let lost = lost().filter(|c| service(c) == at).count();
        expect("hvsock_opens_total", &labels, (ok + lost) as u64);
    }
    expect("hvsock_closes_total", &[], opened().filter(|c| c.state == State::Gone).count() as u64);
    expect("hvsock_accounting_reconciled", &[], 1);
    expect("hvsock_blind", &[], 0);
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
