//! The recording in the documentation: it plays, and shows every view whole.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

const CAST: &str = include_str!("../../../docs/img/demo.cast");

/// What stands in each view and nowhere else, in the order in which the recording goes through them.
const VIEWS: [&str; 10] = [
    "Stalled and busiest connections",
    "IN RING",
    "whole life observed",
    "filter: port:5020",
    "Waiting for accept",
    "wait for accept",
    "of bound sockets ",
    "runbook: docs/findings/",
    "events are accounted for",
    "╭─ help ",
];

#[test]
fn it_plays_and_shows_every_view() -> Result<()> {
    let mut lines = CAST.lines();
    let head: Value = serde_json::from_str(lines.next().context("it is empty")?)?;
    ensure!(head["version"] == 2 && head["width"] == 120 && head["height"] == 40, "{head}");
    let mut terminal = vt100::Parser::new(40, 120, 0);
    let mut views = VIEWS.iter().peekable();
    let mut before = 0.0;
    for line in lines {
        let (at, kind, text): (f64, String, String) = serde_json::from_str(line)?;
        ensure!(kind == "o" && (before..before + 5.0).contains(&at), "after {before} s comes {at} s");
        before = at;
        terminal.process(text.as_bytes());
        let shown = terminal.screen().contents();
        while views.next_if(|view| shown.contains(**view)).is_some() {}
    }
    ensure!(views.peek().is_none(), "it does not show \"{}\"", views.peek().unwrap_or(&&""));
    ensure!((30.0..90.0).contains(&before), "it takes {before} s");
    ensure!(!terminal.screen().alternate_screen() && !terminal.screen().hide_cursor(), "it does not end");
    Ok(())
}
