//! `hvsock-top findings`: watches for some seconds and says what is wrong.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{Failure, args::FindingsArgs, input::Input, live::LiveArgs, signals::Stop};
use crate::{
    findings::{Diary, Entry, LIMITS, RULES},
    model::{Finding, Number, Severity},
};

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(500);

/// Version of the report's schema.
const SCHEMA: u32 = 1;

/// The report.
#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    /// How long was watched.
    observed_ns: u64,
    findings: Vec<Told<'a>>,
}

/// A finding, and when it was seen.
#[derive(Serialize)]
struct Told<'a> {
    first_seen: &'a str,
    last_seen: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

pub(super) fn run(args: &FindingsArgs, live: &LiveArgs) -> Result<ExitCode, Failure> {
    if args.rules {
        return print(&rules()).map(|()| ExitCode::SUCCESS);
    }
    let stop = Stop::listen()?;
    let mut input = Input::open(&args.from.origin(live), INTERVAL)?;
    let mut judging = args.judge.judging_again();
    if !args.json && !input.is_replay() && io::stderr().is_terminal() {
        let _ = writeln!(io::stderr(), "watching for {:?} …", args.time);
    }
    let (mut diary, mut times) = (Diary::default(), None);
    let end = Instant::now() + args.time;
    while let Some(due) = input.due()? {
        // The last look is at the end, not before it; and whoever says stop wants to know what was found until then.
        let last = !input.is_replay() && due >= end;
        if !stop.sleep_until(if last { end } else { due }) {
            break;
        }
        let Some(mut snapshot) = input.snapshot()? else { break };
        judging.judge(&mut snapshot);
        diary.note(&snapshot.time, snapshot.findings.as_deref().unwrap_or_default());
        let (first, _) = times.unwrap_or((snapshot.uptime_ns, 0));
        times = Some((first, snapshot.uptime_ns));
        if last {
            break;
        }
    }
    let observed_ns = times.map_or(0, |(first, last)| last.saturating_sub(first));
    let entries = diary.entries();
    let text = if args.json { json(&entries, observed_ns)? } else { words(&entries, observed_ns) };
    print(&text)?;
    Ok(if entries.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(Failure::BAD_NEWS) })
}

fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::output(&error)),
        _ => Ok(()),
    }
}

fn json(entries: &[&Entry], observed_ns: u64) -> Result<String, Failure> {
    let findings = entries
        .iter()
        .map(|e| Told { first_seen: &e.first, last_seen: &e.last, finding: &e.finding })
        .collect();
    let report = Report { schema: SCHEMA, observed_ns, findings };
    Ok(serde_json::to_string(&report).map_err(anyhow::Error::from)? + "\n")
}

/// For people.
fn words(entries: &[&Entry], observed_ns: u64) -> String {
    let seconds = observed_ns as f64 / 1e9;
    if entries.is_empty() {
        return format!("nothing wrong in {seconds:.1} s\n");
    }
    let mut text = String::new();
    for entry in entries {
        let Finding { rule, severity, summary, remedy, connections, evidence, .. } = &entry.finding;
        let severity = match severity {
            Severity::Critical => "CRITICAL",
            Severity::Warning => "WARNING",
            Severity::Info => "INFO",
        };
        let _ = writeln!(text, "{severity:<8} {rule}: {summary}");
        let _ = writeln!(text, "         what to do: {remedy}");
        let numbers: Vec<_> =
            evidence.iter().map(|(name, value)| format!("{name} {}", number(*value))).collect();
        if !numbers.is_empty() {
            let _ = writeln!(text, "         {}", numbers.join(", "));
        }
        if !connections.is_empty() {
            let _ = writeln!(text, "         connections {}", connections.join(" "));
        }
        let _ = writeln!(
            text,
            "         seen from {} to {}; see docs/findings/{rule}.md\n",
            entry.first, entry.last
        );
    }
    let _ = writeln!(
        text,
        "{} in {seconds:.1} s",
        if entries.len() == 1 { "1 finding".to_owned() } else { format!("{} findings", entries.len()) }
    );
    text
}

fn number(value: Number) -> String {
    match value {
        Number::Whole(n) => n.to_string(),
        Number::Real(x) => format!("{x:.1}"),
    }
}

/// What is looked for.
fn rules() -> String {
    let mut text = String::from("Rules\n");
    for rule in RULES {
        let _ = writeln!(text, "  {:<18} {}", rule.name, rule.about);
    }
    text.push_str("\nThresholds (--threshold NAME=VALUE)\n");
    for limit in LIMITS {
        let _ = writeln!(text, "  {:<18} {:>7} {}", limit.name, limit.default, limit.about.trim());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{findings::Judge, model::Snapshot};

    #[test]
    fn findings_read_well_and_parse() {
        let mut judge = Judge::new(crate::findings::Limits::default());
        let mut snapshot = Snapshot::blank(5);
        let mut diary = Diary::default();
        assert_eq!(words(&diary.entries(), 5_000_000_000), "nothing wrong in 5.0 s\n");
        snapshot.totals.relids_used = Some(2040);
        diary.note("t1", &judge.judge(&snapshot));
        diary.note("t2", &judge.judge(&snapshot));
        let text = words(&diary.entries(), 5_000_000_000);
        assert!(
            text.starts_with("CRITICAL relids_high: 2040 of the VMBus's 2048 channels are in use\n"),
            "{text}"
        );
        assert!(text.contains("from t1 to t2") && text.ends_with("1 finding in 5.0 s\n"), "{text}");
        let json: serde_json::Value = serde_json::from_str(&json(&diary.entries(), 5).unwrap()).unwrap();
        assert_eq!(json["findings"][0]["evidence"]["relids_used"], 2040);
        assert!(rules().contains("stall_ms"));
    }
}
