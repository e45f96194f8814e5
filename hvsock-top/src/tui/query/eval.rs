//! Whether an expression holds for a row.

use std::borrow::Cow;

use super::{
    FIELDS, Field, Kind, Query,
    parser::{Comparison, Expr},
};

/// What a row has in a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// Text.
    Text(Cow<'a, str>),
    /// A number, in the unit of its kind: bytes, nanoseconds, per cent.
    Number(f64),
    /// Not known, or rows of this sort have no such field.
    Unknown,
}

impl Value<'_> {
    /// A number that may not be known.
    pub fn number(value: Option<impl Into<f64>>) -> Self {
        value.map_or(Self::Unknown, |n| Self::Number(n.into()))
    }

    /// The same of a counter.
    pub fn counter(value: Option<u64>) -> Self {
        value.map_or(Self::Unknown, |n| Self::Number(n as f64))
    }
}

impl<'a> Value<'a> {
    /// A text that may not be known.
    pub fn text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Unknown, |text| Self::Text(Cow::Borrowed(text)))
    }
}

/// A row that can be filtered.
pub trait Fields {
    /// What it has in that field.
    fn get(&self, field: Field) -> Value<'_>;
}

impl Query {
    /// Whether it holds for `row`.
    pub fn matches(&self, row: &impl Fields) -> bool {
        holds(&self.0, row)
    }
}

fn holds(expr: &Expr, row: &impl Fields) -> bool {
    match expr {
        Expr::And(left, right) => holds(left, row) && holds(right, row),
        Expr::Or(left, right) => holds(left, row) || holds(right, row),
        Expr::Not(inner) => !holds(inner, row),
        Expr::Anywhere(word) => anywhere(row, |text| contains(text, word)),
        Expr::AnywhereRegex(regex) => anywhere(row, |text| regex.is_match(text)),
        Expr::Has(field, word) => of_text(row.get(*field), |text| contains(text, word)),
        Expr::IsText(field, word) => of_text(row.get(*field), |text| text.to_lowercase() == *word),
        Expr::Matches(field, regex) => of_text(row.get(*field), |text| regex.is_match(text)),
        Expr::Compare(field, how, right) => match row.get(*field) {
            Value::Number(left) => compare(left, *how, *right),
            _ => false,
        },
        Expr::Unknown(field) => row.get(*field) == Value::Unknown,
    }
}

fn compare(left: f64, how: Comparison, right: f64) -> bool {
    match how {
        // Numbers here are whole, or come from text: a billionth apart is the same.
        Comparison::Equal => (left - right).abs() <= 1e-9 * left.abs().max(right.abs()),
        Comparison::Less => left < right,
        Comparison::AtMost => left <= right,
        Comparison::More => left > right,
        Comparison::AtLeast => left >= right,
    }
}

fn contains(text: &str, lower: &str) -> bool {
    text.to_lowercase().contains(lower)
}

fn of_text(value: Value<'_>, test: impl FnOnce(&str) -> bool) -> bool {
    match value {
        Value::Text(words) => test(&words),
        Value::Number(number) => test(&number.to_string()),
        Value::Unknown => false,
    }
}

/// Text fields, and the numbers that people take for names.
fn anywhere(row: &impl Fields, test: impl Fn(&str) -> bool) -> bool {
    let named = |field| matches!(field, Field::Port | Field::Local | Field::Remote | Field::Pid);
    FIELDS
        .iter()
        .filter(|(field, _, _, kind)| *kind == Kind::Text || named(*field))
        .any(|(field, ..)| of_text(row.get(*field), &test))
}
