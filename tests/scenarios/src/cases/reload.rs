//! hv_sock is unloaded and loaded again under hvsock-top.

use std::time::Duration;

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::once;
use crate::runner::Scenario;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(2),
    ..Scenario::new(
        "reload",
        "hv_sock goes and comes back under `hvsock-top --kprobes json`: it says so, and is exact again",
        run,
    )
};

fn run() -> Result<()> {
    let result = reload();
    // The scenarios that follow want it loaded, whatever happened.
    modules("grep -q '^hv_sock ' /proc/modules || insmod /mod/hv_sock.ko")?;
    result
}

fn reload() -> Result<()> {
    host::host("mode 5490 echo")?;
    let top = Top::start_with(&["--kprobes"])?;
    let mut bytes = 0;
    for round in 1..=3 {
        let streams = traffic::connect_all(5490, 3)?;
        for stream in &streams {
            traffic::echo(stream, 2000 * round)?;
        }
        bytes += 3 * 2000 * round as u64;
        let ledger = host::ledger()?;
        top.wait("the connections of this round", |s| {
            ensure!(
                s.at("host/hv_sock").is_some_and(|v| v == "module"),
                "hv_sock: {:?}",
                s.at("host/hv_sock")
            );
            compare::live(s, &ledger)?;
            compare::expect(s, "totals/tx_bytes", bytes)?;
            compare::expect(s, "totals/rx_bytes", bytes)?;
            compare::expect(s, "opens/to_host/ok", 3 * round as u64)?;
            compare::accounting(s)
        })?;
        drop(streams);
        steps::all_gone()?;
        modules("rmmod hv_sock")?;
        top.wait("that hv_sock is gone", |s| {
            ensure!(
                s.at("host/hv_sock").is_some_and(|v| v == "absent"),
                "hv_sock: {:?}",
                s.at("host/hv_sock")
            );
            ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
            compare::expect(s, "totals/tx_bytes", bytes)
        })?;
        top.finds("blind")?;
        modules("insmod /mod/hv_sock.ko")?;
        top.wait("that hv_sock is back and every probe with it", |s| {
            ensure!(
                s.at("host/hv_sock").is_some_and(|v| v == "module"),
                "hv_sock: {:?}",
                s.at("host/hv_sock")
            );
            let bad = s.list("probes")?.iter().find(|p| p["state"] != "active");
            ensure!(bad.is_none(), "a probe that is not active: {bad:?}");
            Ok(())
        })?;
    }
    top.finds_only(&["blind"])?;
    top.stop()
}

fn modules(script: &str) -> Result<()> {
    let ended = once::shell(script)?;
    ensure!(ended.code == Some(0), "{script}: {ended:?}");
    Ok(())
}
