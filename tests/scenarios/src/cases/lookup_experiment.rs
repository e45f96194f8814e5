//! The experiment with the lookups, in its quick form: what grows with the number of sockets, and what does not.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::once;
use crate::runner::Scenario;
use crate::schema;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "lookup_experiment",
        "AF_HYPERV and hv_sock with idle connections: sockets compared are those of theory, a list's grow with their number, a hash's do not",
        run,
    )
};

fn run() -> Result<()> {
    let said = measured()?;
    let report = schema::EXPERIMENT.parse(&made(&said)?)?;
    let list = |name: &str| report[name].as_array().with_context(|| format!("no {name}"));
    ensure!(list("opens")?.len() == 4 * 9, "{} cells of opens", list("opens")?.len());
    ensure!(list("bursts")?.len() == 4 * 8, "{} bursts", list("bursts")?.len());
    ensure!(list("contention")?.len() == 4 * 2, "{} of contention", list("contention")?.len());
    for check in list("checks")? {
        ensure!(check["holds"] == true, "{check}");
    }
    for (variant, bound, connected) in
        [("af_hyperv_list", 121, 120), ("af_hyperv_hash", 2, 1), ("af_hyperv_pointer", 2, 1)]
    {
        let cell = open(&report, variant, 120)?;
        let nodes = |kind: &str| cell[kind]["nodes"].as_u64().with_context(|| format!("{kind}: {cell}"));
        let (b, c) = (nodes("bound")?, nodes("connected")?);
        // Five opens in a cell.
        let holds = if bound > 2 {
            (b, c) == (5 * bound, 5 * connected)
        } else {
            b <= 5 * bound && c <= 5 * connected
        };
        ensure!(holds, "{variant}: {b} and {c} sockets compared");
    }
    ensure!(open(&report, "hv_sock", 120)?["bound"]["nodes"].is_null(), "hv_sock counts nothing");
    refused(&said)
}

/// What the guest measures.
fn measured() -> Result<String> {
    let output = Command::new("guest").args(["bench", "lookup", "--quick"]).output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {errors}", output.status);
    let guest = json!({
        "unit": "nanoseconds", "memory_mib": 1024, "cpus": 1, "qemu": "as the scenarios have it", "qemu_version": "any",
    });
    let heading =
        json!({ "command": "lookup_experiment", "kernel": "this", "quick": true, "guests": [guest] });
    Ok(json!({ "heading": heading }).to_string() + "\n" + &String::from_utf8(output.stdout)?)
}

/// What hvsock-top makes of it.
fn made(said: &str) -> Result<String> {
    let ended = experiment(said)?;
    ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    Ok(ended.stdout)
}

fn experiment(said: &str) -> Result<once::Ended> {
    let mut command = Command::new("hvsock-top");
    command.args(["lookup", "experiment"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    child.stdin.take().context("no stdin")?.write_all(said.as_bytes())?;
    once::ended(&mut child)
}

fn open<'a>(report: &'a Value, variant: &str, idle: u64) -> Result<&'a Value> {
    let found = report["opens"].as_array().into_iter().flatten().find(|c| {
        c["variant"] == variant && c["direction"] == "from_host" && c["idle"] == idle && c["services"] == 1
    });
    found.with_context(|| format!("no cell of {variant} with {idle} idle"))
}

/// One socket compared too many, one open that the host did not see, a line that is none, nothing: no report is made.
fn refused(said: &str) -> Result<()> {
    let changed = |kind: &str, change: fn(&mut Value)| -> Result<String> {
        let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
        let line =
            lines.iter_mut().find(|l| l.starts_with(&format!("{{\"{kind}\""))).context("no such cell")?;
        let mut value = serde_json::from_str(line)?;
        change(&mut value);
        *line = value.to_string();
        Ok(lines.join("\n"))
    };
    let with = |change| changed("open", change);
    let cases = [
        (with(|v| v["open"]["bound"]["nodes"] = 1_000_000.into())?, "not those of theory"),
        (with(|v| v["open"]["connected"]["lookups"] = 1_000_000.into())?, "not those of theory"),
        (with(|v| v["open"]["ledger_opens"] = 4.into())?, "the host saw 4 opened"),
        (
            changed("burst", |v| v["burst"]["mutex"]["locks"] = 1.into())?,
            "the mutex should have been taken 60",
        ),
        (
            changed("contention", |v| v["contention"]["mutex"]["locks"] = 1.into())?,
            "the mutex should have been",
        ),
        (with(|v| v["open"]["reconciled"] = false.into())?, "accounts do not add up"),
        (said.lines().next().unwrap_or_default().to_owned(), "nothing about opens"),
        ("{\"open\": 1}".to_owned(), "line 1 is not"),
        (String::new(), "nothing about the machines"),
    ];
    for (said, word) in cases {
        experiment(&said)?.fails(1, &[word])?;
    }
    Ok(())
}
