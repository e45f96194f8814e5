//! The dependencies' licences, sources and known vulnerabilities, judged by cargo-deny and `deny.toml`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{exec, paths};

/// The version that is built where there is none.
const VERSION: &str = "0.20.2";

/// Checks licences, sources and bans: needs no network.
pub(crate) fn check() -> Result<()> {
    exec::output(cargo_deny()?.args(["check", "bans", "licenses", "sources"])).map(drop)
}

/// Checks for known vulnerabilities. False when the list of them cannot be had, which proves nothing either way.
pub(crate) fn advisories() -> Result<bool> {
    match exec::output(cargo_deny()?.args(["check", "advisories"])) {
        Ok(_) => Ok(true),
        Err(error) if format!("{error:#}").contains("failed to fetch advisory database") => Ok(false),
        Err(error) => Err(error),
    }
}

fn cargo_deny() -> Result<Command> {
    let mut command = Command::new(installed()?);
    exec::without_cargo_env(&mut command)
        .current_dir(paths::workspace())
        .args(["--color", "never", "--locked"]);
    Ok(command)
}

/// The one in `PATH`, else one of our own in the cache.
fn installed() -> Result<PathBuf> {
    if let Some(found) = paths::which("cargo-deny") {
        return Ok(found);
    }
    let root = paths::cache()?.join(format!("tools/cargo-deny-{VERSION}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        eprintln!("xtask: building cargo-deny {VERSION} (some minutes, once)");
        let mut cargo = Command::new("cargo");
        exec::without_cargo_env(&mut cargo);
        cargo
            .args(["install", "--quiet", "cargo-deny", "--version", VERSION, "--locked", "--root"])
            .arg(&root);
        exec::shown_run(&mut cargo).context("could not build cargo-deny")?;
    }
    Ok(program)
}
