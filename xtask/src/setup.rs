//! What must be installed for a job, found out by looking; whatever is missing comes from apt.

use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{exec, paths};

/// One thing a job needs: how to see that it is there, and which package brings it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The program in `PATH`, or with a leading `/` the file, that shows it is there.
    pub(crate) probe: &'static str,
    /// The package that brings it.
    pub(crate) package: &'static str,
}

const fn need(probe: &'static str, package: &'static str) -> Need {
    Need { probe, package }
}

/// Linking any Rust program.
pub(crate) const RUST: &[Need] = &[need("cc", "gcc"), need("/usr/include/stdio.h", "libc6-dev")];

/// Trying the recipes of the documentation.
pub(crate) const RECIPES: &[Need] = &[need("jq", "jq")];

/// Debian's own newer compiler, with which the committed eBPF object is built.
pub(crate) const EBPF_DEBIAN: &[Need] = &[
    need("/usr/bin/rustc", "rustc-web"),
    need("/usr/bin/cargo", "cargo-web"),
    need("/usr/lib/rustlib/src/rust/library/core/Cargo.toml", "rust-web-src"),
];

/// Kernels and the modules of the test bed.
pub(crate) const KERNEL: &[Need] = &[
    need("gcc-12", "gcc-12"),
    need("make", "make"),
    need("pahole", "pahole"),
    need("xz", "xz-utils"),
    need("zstd", "zstd"),
    need("lz4", "lz4"),
    need("strip", "binutils"),
    need("/usr/lib/x86_64-linux-gnu/libelf.so.1", "libelf1"),
    need("/usr/lib/x86_64-linux-gnu/libssl.so.3", "libssl3"),
];

/// To trust Debian's archive where apt does not use it anyway.
pub(crate) const KEYRING: &[Need] =
    &[need("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring")];

/// Booting a guest.
pub(crate) const VM: &[Need] =
    &[need("qemu-system-x86_64", "qemu-system-x86"), need("/bin/busybox", "busybox-static")];

fn present(need: &Need) -> bool {
    if need.probe.starts_with('/') {
        std::fs::exists(need.probe).unwrap_or(false)
    } else {
        paths::which(need.probe).is_some()
    }
}

/// The packages that `needs` lack, each once, in order.
pub(crate) fn missing(needs: &[&[Need]], present: impl Fn(&Need) -> bool) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for need in needs.iter().copied().flatten() {
        if !present(need) && !packages.contains(&need.package) {
            packages.push(need.package);
        }
    }
    packages
}

/// Sees to it that everything in `needs` is there, installing only what is missing.
pub(crate) fn ensure(needs: &[&[Need]]) -> Result<()> {
    let packages = missing(needs, present);
    if packages.is_empty() {
        return Ok(());
    }
    install(&packages)?;
    let still = missing(needs, present);
    if !still.is_empty() {
        bail!(
            "installed, but not found afterwards: {}. Look at what `apt-get install` said.",
            still.join(" ")
        );
    }
    Ok(())
}

/// Whether apt's lists offer `package`.
pub(crate) fn apt_offers(package: &str) -> bool {
    exec::text(Command::new("apt-cache").args(["policy", package])).is_ok_and(|text| {
        text.lines().any(|l| l.trim_start().starts_with("Candidate:") && !l.contains("(none)"))
    })
}

/// Brings apt's lists up to date.
pub(crate) fn apt_update() -> Result<()> {
    eprintln!("xtask: apt-get update");
    exec::shown_run(as_root()?.args(["apt-get", "-qq", "update"]))
}

/// Installs `packages` from apt, or says which line does it.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let line = format!("apt-get install --no-install-recommends {}", packages.join(" "));
    if paths::which("apt-get").is_none() {
        bail!(
            "missing on this machine: {}. These are Debian's package names; install what brings them here, then start again.",
            packages.join(" ")
        );
    }
    if as_root().is_err() {
        bail!("missing on this machine: {}. Run this, then start again:\n  sudo {line}", packages.join(" "));
    }
    if !packages.iter().all(|p| apt_offers(p)) {
        apt_update()?;
    }
    eprintln!("xtask: installing what is missing: {line}");
    exec::shown_run(
        as_root()?
            .args(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq", "install", "-y"])
            .arg("--no-install-recommends")
            .args(packages),
    )
    .with_context(|| format!("could not install what is missing. To do it by hand:\n  sudo {line}"))
}

/// A command that runs its arguments as root without asking anything, or an error when that cannot be.
fn as_root() -> Result<Command> {
    if rustix::process::geteuid().is_root() {
        return Ok(Command::new("env"));
    }
    exec::output(Command::new("sudo").args(["-n", "true"]))
        .context("not root, and sudo asks for a password")?;
    let mut command = Command::new("sudo");
    command.arg("-n");
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_missing_is_named_and_once() {
        let a = [need("xz", "xz-utils"), need("make", "make"), need("unxz", "xz-utils")];
        let b = [need("make", "make")];
        assert_eq!(missing(&[&a, &b], |n| n.probe == "make"), ["xz-utils"]);
        assert!(missing(&[&a, &b], |_| true).is_empty());
    }
}
