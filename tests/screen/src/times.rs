//! Durations on the screen against the host's clock: each lies between what the ledger makes it at least and at most.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::ledger::{Conn, Direction, Ledger};

use crate::sheet::{Column, Sheet, read_age, read_duration};

/// What a duration on the screen must lie between, in nanoseconds.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// It is at least this.
    pub from: u64,
    /// It is at most this.
    pub to: u64,
}

impl Span {
    /// Fails unless the duration that is shown, three digits of it, is in between.
    pub fn holds(self, shown: &str) -> Result<()> {
        let ns = read_duration(shown)?;
        let Self { from, to } = self;
        // It is shown with three digits, and a histogram's buckets have no more.
        ensure!(
            ns >= from as f64 * 0.99 && ns <= to as f64 * 1.01,
            "{shown} is not between {from} and {to} ns"
        );
        Ok(())
    }
}

/// The guest's connections that were open when `then` was read have their age: at least the time from then until `before`, at most the time
/// from the host's answer until `after`. The screen shows a moment between those two.
pub fn ages(text: &str, columns: &[Column], then: &Ledger, before: u64, after: u64) -> Result<usize> {
    let sheet = Sheet::read(text, columns)?;
    let mut found = 0;
    for conn in mine(then) {
        let shown = sheet.row("PORT", &conn.service().to_string())?.get("AGE")?;
        let (ns, step) = read_age(&shown)?;
        let (least, most) = (before - then.host.now_ns, after - conn.opened_ns);
        // What is shown is cut, not rounded.
        ensure!(
            ns + step > least && ns <= most,
            "the age at {}: {shown} is not between {least} and {most} ns",
            conn.service()
        );
        found += 1;
    }
    Ok(found)
}

/// How long the open of the connection at that port took.
pub fn open(text: &str, columns: &[Column], port: u32, span: Span) -> Result<()> {
    let shown = Sheet::read(text, columns)?.row("PORT", &port.to_string())?.get("OPEN")?;
    span.holds(&shown).context("the open")
}

/// In the table of latencies, the longest of those; and all of them if there was one only.
pub fn latency(text: &str, name: &str, span: Span) -> Result<()> {
    const TABLE: [Column; 8] = [
        Column::Left("LATENCY", 17),
        Column::Right("COUNT"),
        Column::Right("P50"),
        Column::Right("P90"),
        Column::Right("P99"),
        Column::Right("P99.9"),
        Column::Right("MAX"),
        Column::Right("MEAN"),
    ];
    let sheet = Sheet::read(text, &TABLE)?;
    let row = sheet.row("LATENCY", name)?;
    let figures: &[&str] = match row.get("COUNT")?.as_str() {
        "1" => &["P50", "P90", "P99", "P99.9", "MAX", "MEAN"],
        _ => &["MAX"],
    };
    figures
        .iter()
        .try_for_each(|figure| span.holds(&row.get(figure)?).with_context(|| format!("{name}, {figure}")))
}

/// The guest's connections that were open.
fn mine(then: &Ledger) -> impl Iterator<Item = &Conn> {
    then.conns.iter().filter(|c| c.dir == Direction::ToHost && c.live() && c.opened_ns > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_short_or_too_long_is_refused() {
        let span = Span { from: 400_000_000, to: 500_000_000 };
        assert!(span.holds("400 ms").is_ok() && span.holds("0.50 s").is_ok());
        assert!(span.holds("390 ms").is_err() && span.holds("510 ms").is_err() && span.holds("–").is_err());
    }
}
