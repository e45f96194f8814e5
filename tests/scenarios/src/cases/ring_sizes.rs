//! Listeners with socket buffers of their own.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::vsock::Listener;
use hvsock_guest::{host, traffic};

use crate::compare;
use crate::runner::Scenario;
use crate::snapshot::number;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario =
    Scenario::new("ring_sizes", "ring sizes and memory follow the listener's SO_SNDBUF and SO_RCVBUF", run);

/// SO_SNDBUF and SO_RCVBUF; none leaves the kernel's default. The kernel doubles them, and hv_sock keeps them between
/// 24 and 256 KiB.
const BUFFERS: [Option<(i32, i32)>; 5] =
    [None, Some((12_288, 12_288)), Some((65_536, 16_384)), Some((20_000, 50_000)), Some((2304, 200_000))];

fn run() -> Result<()> {
    let top = Top::start()?;
    let mut streams = Vec::new();
    for (i, buffers) in BUFFERS.iter().enumerate() {
        let port = 6300 + i as u32;
        let listener = Listener::bind(port, 4).context("cannot listen")?;
        if let Some((send, receive)) = *buffers {
            listener.set_buffers(send, receive).context("cannot set the buffers")?;
        }
        host::host(&format!("connect {port} echo"))?;
        let stream = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
        traffic::echo(&stream, 10_000)?;
        streams.push(stream);
    }
    // Sizes, memory and order are compared with the ledger's there.
    let snapshot = steps::exact(&top)?;
    let ledger = host::ledger()?;
    let mut memory = 0;
    for (conn, buffers) in ledger.conns.iter().zip(BUFFERS) {
        let value = compare::find(snapshot.connections()?, conn)?;
        let (out, incoming) = (number(value, "rings/out/size_bytes")?, number(value, "rings/in/size_bytes")?);
        if let Some((send, receive)) = buffers {
            for (size, buffer) in [(out, send), (incoming, receive)] {
                let wanted = (2 * buffer as u64).clamp(24 << 10, 256 << 10).next_multiple_of(4096);
                // With the header page, or without, as the kernel's version has it.
                ensure!(size == wanted || size + 4096 == wanted, "{buffer}: expected {wanted}, got {value}");
            }
        }
        memory += number(value, "rings/memory_bytes")?;
    }
    let sizes: Vec<u64> = ledger.conns.iter().map(|c| c.out_size).collect();
    ensure!(sizes[2] > sizes[1] && sizes[0] > sizes[2], "the sizes do not follow the buffers: {sizes:?}");
    snapshot.check(|s| compare::expect(s, "totals/ring_memory_bytes", memory))?;
    streams.into_iter().try_for_each(traffic::close)?;
    steps::all_gone_exact(&top)?;
    top.stop()
}
