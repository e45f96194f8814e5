//! Metric families: what all formats are made of.

use std::borrow::Cow;

use crate::model;

/// What all names begin with.
pub(super) const PREFIX: &str = "hvsock";

/// The kind of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Says something in its labels; its value is 1.
    Info,
    /// A distribution of durations.
    Histogram,
}

/// The base units of Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Sizes.
    Bytes,
    /// Durations.
    Seconds,
}

impl Unit {
    /// As it ends a name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Seconds => "seconds",
        }
    }
}

/// A label's name and value.
pub(super) type Label = (&'static str, Cow<'static, str>);

/// The value of one series.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A count or a size; exact.
    Whole(u64),
    /// Seconds.
    Real(f64),
    /// A distribution.
    Distribution(Box<model::Histogram>),
}

/// One series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sample {
    pub(super) labels: Vec<Label>,
    pub(super) value: Value,
}

/// One metric with all its series.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Family {
    /// Without prefix, unit and suffix.
    pub(super) name: Cow<'static, str>,
    pub(super) kind: Kind,
    pub(super) unit: Option<Unit>,
    pub(super) help: Cow<'static, str>,
    pub(super) samples: Vec<Sample>,
}

impl Family {
    pub(super) fn new(
        kind: Kind,
        name: impl Into<Cow<'static, str>>,
        unit: Option<Unit>,
        help: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { name: name.into(), kind, unit, help: help.into(), samples: Vec::new() }
    }

    /// Adds a series whose value is a count or a size, if it is known.
    pub(super) fn whole(&mut self, labels: Vec<Label>, value: Option<u64>) {
        self.add(labels, value.map(Value::Whole));
    }

    /// Adds a series whose value is a duration, if it is known.
    pub(super) fn nanoseconds(&mut self, labels: Vec<Label>, ns: Option<u64>) {
        self.add(labels, ns.map(|ns| Value::Real(seconds(ns))));
    }

    /// Adds a series that says yes or no.
    pub(super) fn flag(&mut self, labels: Vec<Label>, yes: bool) {
        self.add(labels, Some(Value::Whole(yes.into())));
    }

    /// Adds a series if its value is known: unknown is absent, never zero.
    pub(super) fn add(&mut self, labels: Vec<Label>, value: Option<Value>) {
        if let Some(value) = value {
            self.samples.push(Sample { labels, value });
        }
    }

    /// The whole name in the formats in which a metric is called as its series are.
    pub(super) fn series_name(&self) -> String {
        let mut name = format!("{PREFIX}_{}", self.name);
        if let Some(unit) = self.unit {
            name = format!("{name}_{}", unit.name());
        }
        match self.kind {
            Kind::Counter => name + "_total",
            Kind::Info => name + "_info",
            Kind::Gauge | Kind::Histogram => name,
        }
    }
}

/// Nanoseconds as seconds.
pub(super) fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

/// A label.
pub(super) fn label(name: &'static str, value: impl Into<Cow<'static, str>>) -> Label {
    (name, value.into())
}
