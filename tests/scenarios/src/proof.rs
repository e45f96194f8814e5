//! Whether a scenario would fail if a field of the Snapshot were wrong.
//!
//! The table in docs/fields.md names for every field a scenario that proves it. When that scenario has checked a Snapshot and found it right,
//! the check is made again with the field falsified, and must fail; a scenario that no check of which has failed so is wrong itself. Each
//! number is falsified in two ways: made larger, and made zero.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail};
use serde_json::Value;

use crate::snapshot::Snapshot;

const TABLE: &str = include_str!("../../../docs/fields.md");

/// Not to be missed among what else takes up time.
const LONGER_NS: u64 = 100_000_000;

/// How a field is falsified.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// One more, half as long again and 100 ms, another text.
    Other,
    /// Zero; only of what is not zero.
    Zero,
}

/// A field that the scenario has to prove.
struct Field {
    path: String,
    is_number: bool,
    /// A check has failed with it falsified so.
    other: bool,
    zero: bool,
}

impl Field {
    fn new(path: &str) -> Self {
        Self { path: path.to_owned(), is_number: false, other: false, zero: false }
    }
}

static FIELDS: Mutex<Vec<Field>> = Mutex::new(Vec::new());

fn with_fields<T>(work: impl FnOnce(&mut Vec<Field>) -> T) -> T {
    work(&mut FIELDS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The rows of the table: field, scenario.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split('|').map(str::trim);
        let field = cells.next()?.trim_end_matches('`');
        let scenario = cells.next()?.strip_prefix('`')?.strip_suffix('`')?;
        Some((field, scenario))
    })
}

/// A scenario begins: these fields are its to prove; `all`: see what of all fields it would prove.
pub(crate) fn begin(scenario: &str, all: bool) {
    let mine = rows().filter(|(_, by)| all || *by == scenario).map(|(path, _)| Field::new(path)).collect();
    with_fields(|fields| *fields = mine);
}

/// It has ended well: what it has not proven is an error.
pub(crate) fn end() -> Result<()> {
    let mut missed = String::new();
    with_fields(|fields| {
        for field in fields.iter() {
            if !field.other {
                write!(missed, "\n{}", field.path)?;
            } else if field.is_number && !field.zero {
                write!(missed, "\n{}, were it zero", field.path)?;
            }
        }
        Ok::<_, anyhow::Error>(())
    })?;
    if missed.is_empty() { Ok(()) } else { bail!("it would pass if these fields were wrong:{missed}") }
}

/// What it has proven of all fields, a line each.
pub(crate) fn found() -> Vec<String> {
    let word = |field: &Field| {
        let ways = match (field.other, field.is_number, field.zero) {
            (false, _, _) => return None,
            (true, true, false) => "larger",
            (true, _, _) => "whole",
        };
        Some(format!("proves {} {ways}", field.path))
    };
    with_fields(|fields| fields.iter().filter_map(word).collect())
}

/// `check` has found this Snapshot right. It must not do so with a field falsified.
pub(crate) fn of(snapshot: &Snapshot, check: &dyn Fn(&Snapshot) -> Result<()>) {
    // The lock is not held during a check, which may take its time.
    let open: Vec<_> = with_fields(|fields| {
        let open = fields.iter().enumerate().filter(|(_, f)| !f.other || !f.zero);
        open.map(|(i, f)| (i, f.path.clone(), f.other, f.zero)).collect()
    });
    for (index, path, other, zero) in open {
        for (way, done) in [(Way::Other, other), (Way::Zero, zero)] {
            let mut wrong = snapshot.0.clone();
            let mut found = Found::default();
            falsify(&mut wrong, &path.split('.').collect::<Vec<_>>(), way, &mut found);
            with_fields(|fields| fields[index].is_number |= found.number);
            // The right one again: time may have made it wrong, and not the falsification.
            if found.changed && !done && check(&Snapshot(wrong)).is_err() && check(snapshot).is_ok() {
                with_fields(|fields| match way {
                    Way::Other => fields[index].other = true,
                    Way::Zero => fields[index].zero = true,
                });
            }
        }
    }
}

/// What came of falsifying.
#[derive(Default)]
struct Found {
    changed: bool,
    number: bool,
}

/// Falsifies what is at `path`: `name[]` is every entry of a list, `*` every member of an object.
fn falsify(value: &mut Value, path: &[&str], way: Way, found: &mut Found) {
    let Some((first, rest)) = path.split_first() else { return falsify_all(value, "", way, found) };
    if *first == "*" {
        for member in value.as_object_mut().into_iter().flatten() {
            step(member.0, member.1, rest, way, found);
        }
        return;
    }
    let (name, each) = first.strip_suffix("[]").map_or((*first, false), |name| (name, true));
    let Some(member) = value.get_mut(name) else { return };
    if each {
        for entry in member.as_array_mut().into_iter().flatten() {
            step(name, entry, rest, way, found);
        }
    } else {
        step(name, member, rest, way, found);
    }
}

fn step(name: &str, value: &mut Value, rest: &[&str], way: Way, found: &mut Found) {
    if rest.is_empty() { falsify_all(value, name, way, found) } else { falsify(value, rest, way, found) }
}

/// Falsifies a value. Of a whole histogram its times alone, all in the same way, so that it stays one.
fn falsify_all(value: &mut Value, name: &str, way: Way, found: &mut Found) {
    match (value, way) {
        (Value::Null, _) | (Value::Bool(_) | Value::String(_) | Value::Object(_), Way::Zero) => {}
        (Value::Bool(flag), Way::Other) => {
            *flag = !*flag;
            found.changed = true;
        }
        (Value::String(text), Way::Other) => {
            *text = text.chars().map(another).collect();
            found.changed = true;
        }
        (Value::Number(real), _) if real.is_f64() => {
            let was = real.as_f64().unwrap_or_default();
            let wrong = if matches!(way, Way::Other) { was + 1.0 } else { 0.0 };
            found.number = true;
            found.changed |= was.to_bits() != wrong.to_bits();
            *real = serde_json::Number::from_f64(wrong).unwrap_or_else(|| 0.into());
        }
        (number @ Value::Number(_), _) => {
            let was = number.as_u64().unwrap_or_default();
            *number = match way {
                Way::Other if name.ends_with("_ns") => longer(was),
                Way::Other => was + 1,
                Way::Zero => 0,
            }
            .into();
            found.number = true;
            found.changed |= *number != was;
        }
        (Value::Array(entries), _) => {
            for entry in entries {
                falsify_all(entry, name, way, found);
            }
        }
        (Value::Object(histogram), Way::Other) => {
            let count = histogram.get("count").and_then(Value::as_u64).unwrap_or_default();
            for (name, value) in histogram.iter_mut().filter(|(name, _)| name.ends_with("_ns")) {
                falsify_all(value, name, way, found);
                if let (Some(sum), "sum_ns") = (value.as_u64(), name.as_str()) {
                    // Each of the values is that much longer.
                    *value = (sum + count * LONGER_NS - LONGER_NS).into();
                }
            }
            for bucket in histogram.get_mut("buckets").and_then(Value::as_array_mut).into_iter().flatten() {
                if let Some(bound) = bucket.get_mut(0) {
                    *bound = longer(bound.as_u64().unwrap_or_default()).into();
                }
            }
            found.number = false;
        }
    }
}

fn longer(ns: u64) -> u64 {
    ns + ns / 2 + LONGER_NS
}

fn another(c: char) -> char {
    match c {
        '9' => '0',
        '0'..='8' | 'a'..='y' => char::from_u32(c as u32 + 1).unwrap_or(c),
        'z' => 'a',
        other => other,
    }
}

/// The table names scenarios that there are. What fields there are, and that each has a row, hvsock-top's own tests know.
#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases;

    #[test]
    fn the_table_names_scenarios_that_there_are() {
        let mut count = 0;
        for (field, scenario) in rows() {
            assert!(cases::ALL.iter().any(|s| s.name == scenario), "{field}: no scenario {scenario}");
            count += 1;
        }
        assert!(count > 150, "{count} rows");
    }

    fn falsified(mut value: Value, path: &str, way: Way) -> (Value, bool) {
        let mut found = Found::default();
        falsify(&mut value, &path.split('.').collect::<Vec<_>>(), way, &mut found);
        (value, found.changed)
    }

    #[test]
    fn fields_are_falsified_in_every_entry() {
        let value =
            serde_json::json!({ "a": [{ "b": { "c": 1, "d_ns": null } }, { "b": { "c": 0, "d_ns": 10 } }] });
        let (other, changed) = falsified(value.clone(), "a[].b.c", Way::Other);
        assert!(changed && other["a"][0]["b"]["c"] == 2 && other["a"][1]["b"]["c"] == 1);
        let (zero, changed) = falsified(value.clone(), "a[].b.*", Way::Zero);
        assert!(changed && zero["a"][0]["b"]["c"] == 0 && zero["a"][1]["b"]["d_ns"] == 0);
        assert!(zero["a"][0]["b"]["d_ns"].is_null(), "what is unknown stays so");
        let (longer, _) = falsified(value.clone(), "a[].b.d_ns", Way::Other);
        assert_eq!(longer["a"][1]["b"]["d_ns"], 15 + LONGER_NS);
        assert!(!falsified(value.clone(), "a[].b.x", Way::Other).1);
        assert!(!falsified(value, "a[].b.c.d", Way::Zero).1);
    }

    #[test]
    fn a_falsified_histogram_is_one_still() {
        let value = serde_json::json!({ "h": { "count": 2, "max_ns": 4, "p50_ns": null, "sum_ns": 6, "buckets": [[4, 2]] } });
        let (other, changed) = falsified(value.clone(), "h", Way::Other);
        let moved = 6 + LONGER_NS;
        assert!(changed);
        assert_eq!(
            other,
            serde_json::json!({ "h": { "count": 2, "max_ns": moved, "p50_ns": null, "sum_ns": 9 + 2 * LONGER_NS, "buckets": [[moved, 2]] } })
        );
        assert!(!falsified(value, "h", Way::Zero).1);
    }

    #[test]
    fn real_numbers_and_lists_of_lists_are_falsified() {
        let value = serde_json::json!({ "r": 1.5, "l": [[1, 2], [6, 1]] });
        assert_eq!(falsified(value.clone(), "r", Way::Other).0["r"], 2.5);
        let (zero, changed) = falsified(value.clone(), "r", Way::Zero);
        assert!(changed && zero["r"] == 0.0, "{zero}");
        assert_eq!(falsified(value, "l", Way::Other).0["l"], serde_json::json!([[2, 3], [7, 2]]));
    }

    #[test]
    fn texts_and_flags_are_falsified() {
        let value = serde_json::json!({ "t": "2026-z9", "f": true });
        assert_eq!(falsified(value.clone(), "t", Way::Other).0["t"], "3137-a0");
        assert_eq!(falsified(value, "f", Way::Other).0["f"], false);
    }
}
