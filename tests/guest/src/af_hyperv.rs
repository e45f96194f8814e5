//! The module AF_HYPERV in hv_sock's place, and what it counts.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::family::Family;
use crate::host;

/// How finding sockets can be done: values of the module's parameter `lookup`.
pub const LOOKUPS: [&str; 3] = ["list", "hash", "pointer"];

/// What the module says of its sockets, and since it was loaded of its lookups and its mutex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Sockets that are bound.
    pub bound: u64,
    /// Sockets that are connected.
    pub connected: u64,
    /// Lookups of a bound socket.
    pub bound_lookups: u64,
    /// Sockets compared in them.
    pub bound_nodes: u64,
    /// What they took, nanoseconds.
    pub bound_ns: u64,
    /// Lookups of a connected socket.
    pub connected_lookups: u64,
    /// Sockets compared in them.
    pub connected_nodes: u64,
    /// What they took, nanoseconds.
    pub connected_ns: u64,
    /// How often the mutex was taken.
    pub locks: u64,
    /// How often somebody waited for it.
    pub contended: u64,
    /// How long all of those waited, nanoseconds.
    pub wait_ns: u64,
    /// How long it was held, nanoseconds.
    pub held_ns: u64,
}

impl Counts {
    /// As of now.
    pub fn now() -> Result<Self> {
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
            bound_ns: number("bound_ns")?,
            connected_lookups: number("connected_lookups")?,
            connected_nodes: number("connected_nodes")?,
            connected_ns: number("connected_ns")?,
            locks: number("locks")?,
            contended: number("contended")?,
            wait_ns: number("wait_ns")?,
            held_ns: number("held_ns")?,
        })
    }
}

/// Puts AF_HYPERV, loaded with these parameters, in hv_sock's place while `act` runs.
pub fn in_place<T>(parameters: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    shell(&format!("rmmod hv_sock && insmod /mod/af_hyperv.ko {parameters}"))?;
    Family::AfHyperv.make_current();
    let result = act();
    Family::Vsock.make_current();
    // Sockets hold the module until the host has taken their channels away.
    let swapped = host::host("release").and_then(|()| host::host("rescind")).and_then(|()| {
        shell("n=0; until rmmod af_hyperv; do n=$((n+1)); [ $n -lt 50 ] || exit 1; usleep 100000; done")
    });
    // Whoever follows wants hv_sock, whatever happened.
    let back = shell("insmod /mod/hv_sock.ko");
    let value = result?;
    swapped.and(back).map(|()| value)
}

fn shell(script: &str) -> Result<()> {
    let output = Command::new("sh").args(["-c", script]).output().context("cannot start sh")?;
    ensure!(
        output.status.success(),
        "{script}: {}, {}",
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}
