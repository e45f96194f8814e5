//! A host that writes nonsense into the rings.

use anyhow::{Result, ensure};
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario::new(
    "nonsense",
    "nonsense in each of the ring indices: counted, never believed; the rest stays exact, and so does this afterwards",
    run,
);

/// Which index, as hvhost numbers them, and the ring it makes useless. What the guest writes (2) hv_sock itself would
/// believe at the next send, so nothing is sent then.
const CASES: [(u32, &str); 4] = [(1, "out"), (2, "out"), (4, "neither"), (8, "in")];

fn run() -> Result<()> {
    host::host("mode 5500 echo")?;
    let top = Top::start()?;
    let sane = traffic::connect(5500)?;
    let mut streams = Vec::new();
    for (which, _) in CASES {
        let port = 5500 + which;
        host::host(&format!("mode {port} corrupt {which}"))?;
        let stream = traffic::connect(port)?;
        // The host answers it, then spoils the ring.
        stream.send(&traffic::pattern(0, 1000))?;
        streams.push(stream);
    }
    steps::wait_ledger("all are spoilt", |l| {
        l.conns.iter().filter(|c| c.rx_bytes == 1000).count() == CASES.len()
    })?;
    // The guest looks at the out ring when it writes. It believes that there is room, or says that it cannot.
    let refused = streams[0].send_now(b"again").is_err();
    traffic::echo(&sane, 3000)?;

    let ledger = host::ledger()?;
    top.wait("levels that cannot be told, counted looks, no level above the ring's size", |s| {
        for (which, ring) in CASES {
            let Some(conn) = ledger.of_service(5500 + which).next() else {
                anyhow::bail!("not in the ledger")
            };
            let value = compare::find(s.connections()?, conn)?;
            for name in ["out", "in"] {
                let used = &value["rings"][name]["used_bytes"];
                ensure!(used.is_null() == (name == ring), "{which}: used_bytes of {name}: {used} in {value}");
                ensure!(used.as_u64().is_none_or(|used| used < 24_576), "{which}: more than fits: {value}");
                let max = number(value, &format!("rings/{name}/max_used_bytes"))?;
                ensure!(max < 24_576, "{which}: max_used_bytes of {name}: {max}");
            }
            let invalid = |name: &str| number(value, &format!("rings/{name}/invalid"));
            ensure!((invalid("out")? > 0) == (which == 1), "{which}: invalid looks at out: {value}");
            ensure!((invalid("in")? > 0) == (which == 8), "{which}: invalid looks at in: {value}");
        }
        let of = |name: &str| -> Result<u64> {
            s.connections()?.iter().map(|c| number(c, &format!("rings/{name}/invalid"))).sum()
        };
        compare::expect(s, "totals/ring_invalid", of("out")? + of("in")?)?;
        // Kernels of 2026 refuse to write into such a ring.
        let Some(conn) = ledger.of_service(5501).next() else { anyhow::bail!("not in the ledger") };
        let failed = u64::from(refused);
        compare::expect_of(compare::find(s.connections()?, conn)?, &[("tx/failed_writes", failed)])?;
        compare::expect(s, "totals/failed_writes", failed)?;
        compare::by_port(s)?;
        let Some(conn) = ledger.of_service(5500).next() else { anyhow::bail!("not in the ledger") };
        compare::expect_of(
            compare::find(s.connections()?, conn)?,
            &[
                ("tx/bytes", 3000),
                ("rx/bytes", 3000),
                ("rings/out/used_bytes", 0),
                ("rings/in/used_bytes", 0),
            ],
        )?;
        compare::accounting(s)
    })?;

    host::host("release")?;
    // The first echo is still to be read, and on the first connection what was sent blindly is lost or comes as well.
    for stream in &streams[1..] {
        stream.receive_exact(&mut [0; 1000])?;
        traffic::echo(stream, 2000)?;
    }
    traffic::echo(&sane, 3000)?;
    let ledger = host::ledger()?;
    top.wait("levels again", |s| {
        for conn in &ledger.conns {
            let value = compare::find(s.connections()?, conn)?;
            compare::expect_of(value, &[("rings/out/used_bytes", 0)])?;
            if conn.service() != 5501 {
                let (tx, rx) = (conn.rx_bytes, conn.tx_bytes);
                compare::expect_of(value, &[("rings/in/used_bytes", 0), ("tx/bytes", tx), ("rx/bytes", rx)])?;
            }
        }
        compare::accounting(s)
    })?;
    drop(streams);
    traffic::close(sane)?;
    steps::all_gone()?;
    top.wait("no connection is left, what was counted remains", |s| {
        ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
        ensure!(s.number("totals/ring_invalid")? >= 2, "ring_invalid is forgotten");
        compare::accounting(s)
    })?;
    top.stop()
}
