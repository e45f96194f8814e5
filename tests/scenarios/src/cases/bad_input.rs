//! Command lines that make no sense.

use anyhow::{Context as _, Result, ensure};

use crate::once;
use crate::runner::Scenario;

pub(super) const SCENARIO: Scenario =
    Scenario::new("bad_input", "senseless arguments: one line of what, one of what to do, exit 2", run);

fn run() -> Result<()> {
    let senseless: &[&[&str]] = &[
        &["--no-such-option"],
        &["json", "--no-such-option"],
        &["no-such-command"],
        &["json", "--interval", "0"],
        &["json", "--interval", "0s"],
        &["json", "--interval", "-1s"],
        &["json", "--interval", "1ns"],
        &["json", "--interval", "99999999999999999999s"],
        &["json", "--interval", "soon"],
        &["json", "--interval"],
        &["json", "--count", "0"],
        &["json", "--count", "-1"],
        &["json", "--count", "1", "--once"],
    ];
    for arguments in senseless {
        once::hvsock_top(arguments)?.fails(2, &[]).with_context(|| format!("with {arguments:?}"))?;
    }
    let help = once::hvsock_top(&["--help"])?;
    ensure!(help.code == Some(0) && help.stdout.contains("json"), "--help: {help:?}");
    let snapshot = once::hvsock_top(&["json", "--once"])?.snapshot()?;
    let took = snapshot.number("observed_ns")?;
    ensure!(took < 500_000_000, "--once answers {took} ns after it has attached");
    let pretty = once::hvsock_top(&["json", "--once", "--pretty"])?;
    ensure!(pretty.stdout.lines().count() > 10, "--pretty is not: {pretty:?}");
    pretty.snapshot()?;
    let three = once::hvsock_top(&["json", "--interval", "10ms", "--count", "3"])?;
    ensure!(three.code == Some(0) && three.stdout.lines().count() == 3, "--count 3: {three:?}");
    Ok(())
}
