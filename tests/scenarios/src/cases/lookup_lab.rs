//! The lookup laboratory, which needs nothing of hv_sock.

use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bed::Kernel;
use crate::once;
use crate::runner::Scenario;
use crate::schema;
use crate::snapshot::number;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(4),
    ..Scenario::new(
        "lookup_lab",
        "the laboratory visits exactly the nodes of theory; bad input; stopped half way what was measured is kept",
        run,
    )
};

/// Below, at and above the nodes that a program visits in one run.
const SIZES: [u64; 4] = [1, 300, 1024, 3000];
const ROUNDS: u64 = 3;
const PLOT: &str = "/tmp/lab.svg";

fn run() -> Result<()> {
    let before = Kernel::now()?;
    whole()?;
    refused()?;
    stopped()?;
    before.is_as_before()
}

fn whole() -> Result<()> {
    let sizes = SIZES.map(|n| n.to_string()).join(",");
    let ended = once::hvsock_top(&[
        "lookup",
        "lab",
        "--json",
        "--sizes",
        &sizes,
        "--rounds",
        &ROUNDS.to_string(),
        "--plot",
        PLOT,
    ])?;
    ensure!(ended.code == Some(0) && ended.stderr.is_empty(), "{ended:?}");
    let report = schema::LAB.parse(&ended.stdout)?;
    ensure!(report["complete"] == true && report["stopped_by"].is_null(), "{report}");
    let cells = report["cells"].as_array().context("no cells")?;
    ensure!(cells.len() == SIZES.len() * 5 * 3 * 2, "{} cells", cells.len());
    cells.iter().try_for_each(cell)?;
    // An empty list and a pointer that leads nowhere differ from a walk: not all is noise.
    let time = |structure: &str, sockets: u64| {
        let found = cells.iter().find(|c| {
            c["structure"] == structure
                && c["sockets"] == sockets
                && c["kind"] == "miss"
                && c["cache"] == "warm"
        });
        found.and_then(|c| c["ns"]["median"].as_f64()).context("no such cell")
    };
    let (list, pointer) = (time("list_by_guid", 3000)?, time("pointer", 3000)?);
    ensure!(list > 20.0 * pointer.max(1.0), "3,000 nodes took {list} ns, none {pointer} ns");
    let drawing = fs::read_to_string(PLOT)?;
    ensure!(drawing.starts_with("<svg") && drawing.trim_end().ends_with("</svg>"), "{drawing}");
    for label in ["list by GUID", "hash, 251 buckets", "caches cold"] {
        ensure!(drawing.contains(label), "the drawing does not say \"{label}\"");
    }
    Ok(())
}

/// What must hold of each, whatever the time: theory is worked out here once more, by formula, where it has no chance in it.
fn cell(cell: &Value) -> Result<()> {
    let sockets = number(cell, "sockets")?;
    let (lookups, visited) = (number(cell, "nodes/lookups")?, number(cell, "nodes/visited")?);
    ensure!(lookups == ROUNDS * number(cell, "lookups_per_round")?, "{cell}");
    ensure!(cell["nodes"]["exact"] == true && visited == number(cell, "nodes/expected")?, "{cell}");
    ensure!(cell["user"].is_null() || cell["user"]["exact"] == true, "{cell}");
    let exactly = match (cell["structure"].as_str(), cell["kind"].as_str()) {
        (Some("list_by_guid" | "list_by_channel"), Some("worst" | "miss")) => Some(sockets),
        (Some("pointer"), Some("hit" | "worst")) => Some(1),
        (Some("pointer"), Some("miss")) => Some(0),
        _ => None,
    };
    if let Some(nodes) = exactly {
        ensure!(visited == nodes * lookups, "{nodes} nodes each: {cell}");
    }
    // Five standard errors: by chance once in a million.
    if let Some(z) = cell["nodes"]["z"].as_f64() {
        ensure!(z.abs() < 5.0, "far from the formula: {cell}");
    }
    Ok(())
}

fn refused() -> Result<()> {
    for sizes in ["0", "16385", "-1", "1,0", "many", ""] {
        once::hvsock_top(&["lookup", "lab", "--sizes", sizes])?
            .fails(2, &[])
            .with_context(|| format!("--sizes \"{sizes}\""))?;
    }
    for plot in ["/no/such/folder/lab.svg", "/tmp"] {
        once::hvsock_top(&["lookup", "lab", "--sizes", "1", "--plot", plot])?
            .fails(1, &["cannot write", plot])?;
    }
    once::hvsock_top_as_nobody(&["lookup", "lab", "--sizes", "1"])?.fails(3, &["not permitted", "setcap"])
}

fn stopped() -> Result<()> {
    let mut child = Command::new("hvsock-top")
        .args(["lookup", "lab", "--json", "--rounds", "10", "--plot", PLOT])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    thread::sleep(Duration::from_secs(6));
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let ended = once::ended(&mut child)?;
    ensure!(ended.code == Some(1) && ended.stderr.contains("SIGINT"), "{ended:?}");
    let report = schema::LAB.parse(&ended.stdout)?;
    ensure!(report["complete"] == false && report["stopped_by"] == "SIGINT", "{report}");
    let cells = report["cells"].as_array().context("no cells")?;
    ensure!(!cells.is_empty() && cells.len() < 360, "{} of 360 measurements after 6 s", cells.len());
    for cell in cells {
        ensure!(number(cell, "ns/rounds")? == 10, "half a measurement: {cell}");
    }
    ensure!(fs::read_to_string(PLOT)?.contains("NOT COMPLETE"), "the drawing does not say so");
    Ok(())
}
