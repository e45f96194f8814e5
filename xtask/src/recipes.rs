//! The jq recipes of the documentation, each run over real Snapshots.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use crate::{exec, paths};

/// Where the recipes are.
const DOCUMENT: &str = "docs/json.md";
/// A Snapshot made in a guest.
const SAMPLE: &str = "hvsock-top/tests/data/demo-snapshot.json";
/// How each recipe begins.
const COMMAND: &str = "hvsock-top json ";

/// Runs every recipe: each must end well, and print something.
pub(crate) fn check() -> Result<()> {
    let workspace = paths::workspace();
    let path = workspace.join(DOCUMENT);
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let recipes = recipes(&text)?;
    ensure!(recipes.len() >= 5, "{DOCUMENT}: only {} recipes were found", recipes.len());
    for (count, filter) in recipes {
        let sample = sample(&workspace.join(SAMPLE), count);
        let output = exec::output(Command::new("sh").args(["-c", &format!("{sample} | {filter}")]))
            .with_context(|| format!("{DOCUMENT}: {filter}"))?;
        ensure!(!output.stdout.trim_ascii().is_empty(), "{DOCUMENT}: this prints nothing: {filter}");
    }
    Ok(())
}

/// A shell command that prints so many Snapshots.
fn sample(path: &Path, count: usize) -> String {
    let file = path.display();
    format!("cat {}", vec![format!("'{file}'"); count].join(" "))
}

/// How many Snapshots each recipe takes, and the filter behind the pipe.
fn recipes(text: &str) -> Result<Vec<(usize, &str)>> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(COMMAND));
    lines
        .map(|line| {
            let (arguments, filter) = line.split_once(" | ").with_context(|| format!("no pipe: {line}"))?;
            let words: Vec<_> = arguments.split_whitespace().collect();
            let count = match words.iter().position(|w| *w == "--count") {
                Some(at) => {
                    words.get(at + 1).and_then(|n| n.parse().ok()).context("--count without a number")?
                }
                None if words.contains(&"--once") => 1,
                None => bail!("a recipe that never ends: {line}"),
            };
            Ok((count, filter))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipes_are_found() {
        let text = "text\n```sh\nhvsock-top json --once | jq .a\n```\nhvsock-top json --interval 1s --count 2 | jq -s '.[0] | .b'\n";
        assert_eq!(recipes(text).unwrap(), [(1, "jq .a"), (2, "jq -s '.[0] | .b'")]);
        assert!(recipes("hvsock-top json | jq .\n").is_err());
    }
}
