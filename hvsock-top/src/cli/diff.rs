//! `hvsock-top diff A B`: which differences between two recordings are more than noise.

use std::{
    fmt::Write as _,
    io::{self, ErrorKind, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Args;

use super::{Failure, input::open_recording};
use crate::record::diff::{Diff, Metric, Side, Unit, Verdict, compare};

/// Options of `diff`.
#[derive(Args, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub(super) struct DiffArgs {
    /// The first recording
    #[arg(required_unless_present = "schema")]
    a: Option<PathBuf>,
    /// The second
    #[arg(required_unless_present = "schema")]
    b: Option<PathBuf>,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
    /// Show also what is zero in both, or was not measured in either
    #[arg(long)]
    all: bool,
    /// Exit 1 when a difference is more than noise
    #[arg(long)]
    exit_code: bool,
    /// Print the JSON Schema of the comparison instead
    #[arg(long, exclusive = true)]
    pub(super) schema: bool,
}

pub(super) fn run(args: &DiffArgs) -> Result<ExitCode, Failure> {
    let (Some(a), Some(b)) = (&args.a, &args.b) else {
        return Err(Failure::senseless("two recordings are needed", "say `hvsock-top diff A B`"));
    };
    let open = |path: &PathBuf| Ok::<_, Failure>((path.display().to_string(), open_recording(path)?));
    let diff = compare(open(a)?, open(b)?);
    let text = if args.json {
        serde_json::to_string(&diff).map(|text| text + "\n").map_err(anyhow::Error::from)?
    } else {
        tell(&diff, args.all)
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => return Err(Failure::output(&error)),
        _ => {}
    }
    let bad = args.exit_code && diff.metrics.iter().any(Metric::is_marked);
    Ok(if bad { ExitCode::from(Failure::BAD_NEWS) } else { ExitCode::SUCCESS })
}

/// The comparison for people.
fn tell(diff: &Diff, all: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut out, diff, all);
    out
}

fn write_all(out: &mut String, diff: &Diff, all: bool) -> std::fmt::Result {
    for (letter, side) in [("A", &diff.a), ("B", &diff.b)] {
        writeln!(out, "{letter}  {}", describe(side))?;
    }
    for note in &diff.notes {
        writeln!(out, "note: {note}")?;
    }
    writeln!(out, "\n  {:<28} {:>14} {:>14} {:>9}", "", "A", "B", "CHANGE")?;
    let mut hidden = 0;
    for metric in &diff.metrics {
        let nothing = |value: Option<f64>| value.is_none_or(|value| value == 0.0);
        if !all && metric.verdict == Verdict::Same && nothing(metric.a) && nothing(metric.b) {
            hidden += 1;
            continue;
        }
        writeln!(out, "{}", row(metric).trim_end())?;
    }
    let marked = diff.metrics.iter().filter(|m| m.is_marked()).count();
    writeln!(out, "\n* more than noise: {marked} of {}", diff.metrics.len())?;
    if hidden > 0 {
        writeln!(out, "{hidden} that are zero in both are left out; --all shows them")?;
    }
    Ok(())
}

fn describe(side: &Side) -> String {
    let command = side.command.as_ref().map(|words| format!("  -- {}", words.join(" "))).unwrap_or_default();
    let text = format!(
        "{}: {}, Linux {}, from {}, {:.1} s, {} Snapshots, {} events{command}",
        side.file,
        side.hostname,
        side.kernel,
        side.started,
        side.duration_ns as f64 / 1e9,
        side.snapshots,
        side.events,
    );
    // A recording may say anything, but not to a terminal.
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn row(metric: &Metric) -> String {
    let show =
        |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| quantity(value, metric.unit));
    let change = match metric.change {
        Some(change) if change.abs() < 10.0 => format!("{:+.1} %", change * 100.0),
        Some(change) => format!("× {:.1}", change + 1.0),
        None => String::new(),
    };
    let (mark, remark) = match metric.verdict {
        Verdict::Differs => ("*", String::new()),
        Verdict::OnlyA => ("*", "only in A".to_owned()),
        Verdict::OnlyB => ("*", "only in B".to_owned()),
        Verdict::Same => (" ", String::new()),
        Verdict::TooFew => (" ", "too few samples to tell".to_owned()),
        Verdict::NotComparable => {
            (" ", format!("not comparable: {}", metric.reason.as_deref().unwrap_or("unknown")))
        }
    };
    format!("{mark} {:<28} {:>14} {:>14} {change:>9}  {remark}", metric.name, show(metric.a), show(metric.b))
}

/// A number as people read it.
fn quantity(value: f64, unit: Unit) -> String {
    let scaled = |step: f64, units: &[&str]| {
        let (mut value, mut at) = (value, 0);
        while value.abs() >= step && at + 1 < units.len() {
            value /= step;
            at += 1;
        }
        if at == 0 { format!("{value:.0} {}", units[0]) } else { format!("{value:.1} {}", units[at]) }
    };
    match unit {
        Unit::PerSecond if value == 0.0 || value.abs() >= 100.0 => format!("{value:.0} /s"),
        Unit::PerSecond => format!("{value:.2} /s"),
        Unit::BytesPerSecond => scaled(1024.0, &["B/s", "KiB/s", "MiB/s", "GiB/s", "TiB/s"]),
        Unit::Bytes => scaled(1024.0, &["B", "KiB", "MiB", "GiB", "TiB"]),
        Unit::Nanoseconds => scaled(1000.0, &["ns", "µs", "ms", "s"]),
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Count => format!("{value:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_well() {
        assert_eq!(quantity(0.0, Unit::PerSecond), "0 /s");
        assert_eq!(quantity(1.5, Unit::PerSecond), "1.50 /s");
        assert_eq!(quantity(1536.0, Unit::BytesPerSecond), "1.5 KiB/s");
        assert_eq!(quantity(2_500_000.0, Unit::Nanoseconds), "2.5 ms");
        assert_eq!(quantity(8e9, Unit::Nanoseconds), "8.0 s");
        assert_eq!(quantity(0.123, Unit::Share), "12.3 %");
    }
}
