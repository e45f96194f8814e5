//! From what the guest says to a report.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

/// What one run of some work gave: numbers by name.
type Numbers = BTreeMap<String, u64>;

/// By work, then by state; a state that was measured more than once has numbers for each time.
type Figures = BTreeMap<String, BTreeMap<String, Vec<Numbers>>>;

/// The figures, with the differences that matter.
pub(super) fn make(name: &str, command: &str, kernel: &str, output: &str) -> Result<Value> {
    let mut report = Map::new();
    report.insert("benchmark".into(), json!(name));
    report.insert("command".into(), json!(command));
    report.insert("kernel".into(), json!(kernel));
    report.insert("unit".into(), json!("guest instructions (QEMU TCG, -icount shift=0,sleep=off, one CPU)"));
    let mut figures = Figures::new();
    for line in output.lines() {
        let context = || format!("the guest says: {line}");
        let (kind, rest) = line.split_once(' ').with_context(context)?;
        match kind {
            "figure" => {
                let mut numbers = Numbers::new();
                let (mut state, mut what) = (None, None);
                for word in rest.split(' ') {
                    match word.split_once('=').with_context(context)? {
                        ("state", value) => state = Some(value.to_owned()),
                        ("what", value) => what = Some(value.to_owned()),
                        (key, value) => {
                            numbers.insert(key.to_owned(), value.parse().with_context(context)?);
                        }
                    }
                }
                let (what, state) = (what.with_context(context)?, state.with_context(context)?);
                figures.entry(what).or_default().entry(state).or_default().push(numbers);
            }
            "held" | "snapshot" => {
                let (state, text) = rest.split_once(' ').with_context(context)?;
                let state = state.strip_prefix("state=").with_context(context)?;
                let value: Value = serde_json::from_str(text).with_context(context)?;
                if kind == "snapshot" {
                    check(state, &value, &figures)?;
                } else {
                    let held = report.entry("attached").or_insert_with(|| json!({}));
                    held[state] = value;
                }
            }
            _ => {}
        }
    }
    if name == "cost" {
        same_places(&report["attached"])?;
        let mut added = Map::new();
        for (what, states) in &figures {
            added.insert(what.clone(), differences(states).with_context(|| format!("figures of {what}"))?);
        }
        report.insert("added".into(), Value::Object(added));
    }
    report.insert("figures".into(), json!(figures));
    Ok(Value::Object(report))
}

/// Empty programs and ours must sit in the same places in the same way, or it is not the programs that make the difference.
fn same_places(attached: &Value) -> Result<()> {
    for backend in ["fentry", "kprobe"] {
        let of = |name: &str| &attached[format!("{name}-{backend}")]["probes"];
        let (empty, ours) = (of("empty"), of("ours"));
        ensure!(
            empty.is_object() && empty == ours,
            "{backend}: the empty programs are attached to {empty}, ours to {ours}"
        );
    }
    Ok(())
}

/// The number that stands for a figure: the median where there is one.
fn typical(numbers: &Numbers) -> Result<i64> {
    let number = numbers.get("median").or_else(|| numbers.get("mean")).context("neither median nor mean")?;
    Ok(i64::try_from(*number)?)
}

/// What each state adds to the one without probes.
fn differences(states: &BTreeMap<String, Vec<Numbers>>) -> Result<Value> {
    let all = |state: &str| -> Result<Vec<i64>> {
        states.get(state).with_context(|| format!("nothing for {state}"))?.iter().map(typical).collect()
    };
    let off = all("off")?;
    let (least, most) = (off.iter().min().context("none")?, off.iter().max().context("none")?);
    let mean = off.iter().sum::<i64>() / off.len() as i64;
    let mut result = json!({ "off": mean, "off_spread": most - least });
    for backend in ["fentry", "kprobe"] {
        let one = |name: &str| -> Result<i64> { Ok(all(&format!("{name}-{backend}"))?[0] - mean) };
        let (empty, ours) = (one("empty")?, one("ours")?);
        let ratio =
            if empty > 0 { json!((ours as f64 / empty as f64 * 100.0).round() / 100.0) } else { json!(null) };
        result[backend] = json!({ "empty": empty, "ours": ours, "ratio": ratio });
    }
    Ok(result)
}

/// The real programs must have counted what was done, or the figures are of something else.
fn check(state: &str, snapshot: &Value, figures: &Figures) -> Result<()> {
    let counted = |hook: &str| snapshot["accounting"][hook]["recorded"].as_u64();
    let done = |what: &str| -> Option<u64> { figures.get(what)?.get(state)?.last()?.get("count").copied() };
    let need = |hook: &str, times: &[&str]| -> Result<()> {
        let wanted: u64 = times.iter().filter_map(|what| done(what)).sum();
        let found = counted(hook).with_context(|| format!("{state}: nothing about {hook}"))?;
        ensure!(
            wanted > 0 && found >= wanted,
            "{state}: {hook} recorded {found} events, at least {wanted} happened"
        );
        Ok(())
    };
    ensure!(snapshot["accounting"]["reconciled"] == json!(true), "{state}: the accounts do not add up");
    need("enqueue", &["send_4096", "send_4096_other"])?;
    need("ring_write", &["send_4096", "send_4096_other"])?;
    need("callback", &["callback"])?;
    need("dequeue", &["receive"])?;
    need("open", &["open_close"])?;
    need("freed", &["open_close"])
}

/// The report for people.
pub(super) fn table(report: &Value) -> Result<String> {
    let mut text = format!(
        "{} on {}\n{}\n\n",
        report["benchmark"].as_str().unwrap_or_default(),
        report["kernel"].as_str().unwrap_or_default(),
        report["unit"].as_str().unwrap_or_default()
    );
    if let Some(added) = report["added"].as_object() {
        writeln!(
            text,
            "{:16} {:>9} {:>7}   {:>22}   {:>22}",
            "", "off", "±", "fentry: empty ours ×", "kprobe: empty ours ×"
        )?;
        for (what, row) in added {
            write!(text, "{what:16} {:>9} {:>7}", row["off"].to_string(), row["off_spread"].to_string())?;
            for backend in ["fentry", "kprobe"] {
                let cell = |key: &str| row[backend][key].to_string();
                write!(text, "   {:>8} {:>8} {:>5}", cell("empty"), cell("ours"), cell("ratio"))?;
            }
            text.push('\n');
        }
    } else if let Some(figures) = report["figures"]["snapshot"].as_object() {
        writeln!(text, "{:16} {:>14} {:>10}", "", "instructions", "bytes")?;
        for (state, row) in figures {
            writeln!(
                text,
                "{state:16} {:>14} {:>10}",
                row[0]["mean"].to_string(),
                row[0]["bytes"].to_string()
            )?;
        }
    }
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "figure state=warm-up what=send_4096 count=4 median=900 min=1 max=2 mean=3\n\
        figure state=off what=send_4096 count=4 median=100 min=1 max=2 mean=3\n\
        held state=empty-fentry {\"probes\":{\"send_end\":\"trampoline\"}}\n\
        held state=ours-fentry {\"probes\":{\"send_end\":\"trampoline\"}}\n\
        held state=empty-kprobe {\"probes\":{\"send_end\":\"kprobe\"}}\n\
        held state=ours-kprobe {\"probes\":{\"send_end\":\"kprobe\"}}\n\
        figure state=empty-fentry what=send_4096 count=4 median=150 min=1 max=2 mean=3\n\
        figure state=ours-fentry what=send_4096 count=4 median=170 min=1 max=2 mean=3\n\
        figure state=off what=send_4096 count=4 median=102 min=1 max=2 mean=3\n\
        figure state=empty-kprobe what=send_4096 count=4 median=201 min=1 max=2 mean=3\n\
        figure state=ours-kprobe what=send_4096 count=4 median=301 min=1 max=2 mean=3\n";

    #[test]
    fn differences_are_taken_from_the_runs_without_probes() {
        let report = make("cost", "c", "k", OUTPUT).unwrap();
        let row = &report["added"]["send_4096"];
        assert_eq!(row["off"], 101);
        assert_eq!(row["off_spread"], 2);
        assert_eq!(row["fentry"], json!({ "empty": 49, "ours": 69, "ratio": 1.41 }));
        assert_eq!(row["kprobe"], json!({ "empty": 100, "ours": 200, "ratio": 2.0 }));
        assert_eq!(report["attached"]["empty-fentry"]["probes"]["send_end"], "trampoline");
        assert!(table(&report).unwrap().contains("1.41"));
    }

    #[test]
    fn programs_that_sit_elsewhere_are_found_out() {
        let output = OUTPUT.replace(
            "held state=ours-kprobe {\"probes\":{\"send_end\"",
            "held state=ours-kprobe {\"probes\":{\"other\"",
        );
        let error = make("cost", "c", "k", &output).unwrap_err().to_string();
        assert!(error.contains("kprobe: the empty programs are attached to"), "{error}");
    }

    #[test]
    fn programs_that_counted_nothing_are_found_out() {
        let nothing = "snapshot state=ours-fentry {\"accounting\":{\"reconciled\":true,\"enqueue\":{\"recorded\":3}}}\n";
        let error = make("cost", "c", "k", &format!("{OUTPUT}{nothing}")).unwrap_err().to_string();
        assert!(error.contains("enqueue recorded 3 events, at least 4"), "{error}");
    }
}
