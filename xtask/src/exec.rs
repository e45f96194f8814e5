//! Running other programs, with errors that show what they said.

use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Variables with which rustup and an outer cargo steer the compilers they start. `cargo xtask` inherits them; a build that
/// chooses its own toolchain or flags must not.
const CARGO_VARS: &[&str] = &[
    "CARGO",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_INCREMENTAL",
    "CARGO_MANIFEST_DIR",
    "CARGO_MANIFEST_PATH",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_BOOTSTRAP",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Removes from `command` what an outer cargo or rustup set for itself.
pub(crate) fn without_cargo_env(command: &mut Command) -> &mut Command {
    for name in CARGO_VARS {
        command.env_remove(name);
    }
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|n| n.starts_with("CARGO_PKG_") || n.starts_with("CARGO_PROFILE_")) {
            command.env_remove(name);
        }
    }
    command
}

/// The command as a user would type it, for messages.
pub(crate) fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|a| a.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Runs `command` to its end with its output caught; a failure carries that output.
pub(crate) fn output(command: &mut Command) -> Result<Output> {
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start `{}`: is it installed?", shown(command)))?;
    if !out.status.success() {
        let (o, e) = (String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr));
        bail!("`{}` failed ({})\n{}{}", shown(command), out.status, o, e);
    }
    Ok(out)
}

/// The standard output of `command` as text.
pub(crate) fn text(command: &mut Command) -> Result<String> {
    Ok(String::from_utf8_lossy(&output(command)?.stdout).into_owned())
}

/// Runs `command` with its output shown on our standard error (our standard output may carry results).
pub(crate) fn shown_run(command: &mut Command) -> Result<()> {
    let status = command
        .stdin(Stdio::null())
        .stdout(Stdio::from(std::io::stderr()))
        .status()
        .with_context(|| format!("cannot start `{}`: is it installed?", shown(command)))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}
