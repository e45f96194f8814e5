//! Addresses that cannot be listened at.

use std::net::TcpListener;

use anyhow::{Context as _, Result};
use hvsock_guest::vsock;

use crate::once::{hvsock_top, hvsock_top_as_nobody};
use crate::runner::Scenario;
use crate::serve::{self, ADDRESS, Serve};

pub(super) const SCENARIO: Scenario = Scenario::new(
    "serve_bad_input",
    "port in use, address not ours, privileged port, nonsense: one line of what, one of what to do",
    run,
);

fn run() -> Result<()> {
    serve::network()?;
    let listen = |address: &str| hvsock_top(&["serve", "--listen", address]);
    let held = TcpListener::bind(ADDRESS).context("cannot listen")?;
    hvsock_top(&["serve"])?.fails(1, &["127.0.0.1:9464", "another program", "ss -ltnp"])?;
    drop(held);
    let held = vsock::Listener::bind(9464, 1).context("cannot listen on vsock")?;
    listen("vsock:9464")?.fails(1, &["vsock:9464", "another program", "ss --vsock"])?;
    drop(held);
    listen("192.0.2.1:9464")?.fails(1, &["192.0.2.1", "no such address", "ip address"])?;
    for address in ["127.0.0.1:80", "vsock:80"] {
        let ended = hvsock_top_as_nobody(&["serve", "--listen", address])?;
        ended.fails(3, &[address, "CAP_NET_BIND_SERVICE", "1024"])?;
    }
    for nonsense in ["", "localhost:9464", "9464", "vsock:", "vsock:x", "127.0.0.1:99999", "/run/socket"] {
        listen(nonsense)?.fails(2, &[]).with_context(|| format!("--listen \"{nonsense}\""))?;
    }
    for nonsense in [["--interval", "0"], ["--max-ports", "-1"], ["--max-ports", "many"]] {
        let arguments = ["serve", nonsense[0], nonsense[1]];
        hvsock_top(&arguments)?.fails(2, &[]).with_context(|| format!("{nonsense:?}"))?;
    }
    // It is bound before anything is attached, and nobody is left behind who holds the port.
    let serve = Serve::start(&[])?;
    hvsock_top(&["serve"])?.fails(1, &["another program"])?;
    serve.stop()?;
    Serve::start(&[])?.stop()
}
