//! AF_HYPERV in hv_sock's place, for the time of a scenario.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::family::Family;
use hvsock_guest::host;

use crate::once;

/// How finding sockets can be done: values of the module's parameter `lookup`.
pub(crate) const LOOKUPS: [&str; 3] = ["list", "hash", "pointer"];

/// What the module says of its lookups since it was loaded, and of its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) bound: u64,
    pub(crate) connected: u64,
    pub(crate) bound_lookups: u64,
    pub(crate) bound_nodes: u64,
    pub(crate) connected_lookups: u64,
    pub(crate) connected_nodes: u64,
}

impl Counts {
    /// As of now.
    pub(crate) fn now() -> Result<Self> {
        let text = fs::read_to_string("/proc/af_hyperv").context("no /proc/af_hyperv")?;
        let number = |name: &str| {
            let value = text.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
            value.and_then(|v| v.parse().ok()).with_context(|| format!("no {name} in {text}"))
        };
        Ok(Self {
            bound: number("bound")?,
            connected: number("connected")?,
            bound_lookups: number("bound_lookups")?,
            bound_nodes: number("bound_nodes")?,
            connected_lookups: number("connected_lookups")?,
            connected_nodes: number("connected_nodes")?,
        })
    }
}

/// Puts AF_HYPERV, loaded with these parameters, in hv_sock's place while `act` runs.
pub(crate) fn af_hyperv(parameters: &str, act: impl FnOnce() -> Result<()>) -> Result<()> {
    modules(&format!("rmmod hv_sock && insmod /mod/af_hyperv.ko {parameters}"))?;
    Family::AfHyperv.make_current();
    let result = act();
    Family::Vsock.make_current();
    // Sockets hold the module until the host has taken their channels away.
    let swapped = host::host("release").and_then(|()| host::host("rescind")).and_then(|()| {
        modules("n=0; until rmmod af_hyperv; do n=$((n+1)); [ $n -lt 50 ] || exit 1; usleep 100000; done")
    });
    // The scenarios that follow want hv_sock, whatever happened.
    result.and(swapped).and(modules("insmod /mod/hv_sock.ko"))
}

fn modules(script: &str) -> Result<()> {
    let ended = once::shell(script)?;
    ensure!(ended.code == Some(0), "{script}: {ended:?}");
    Ok(())
}
