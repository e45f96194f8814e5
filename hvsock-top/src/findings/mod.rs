//! Findings: rules that turn Snapshots into what is wrong, each with its evidence.
//!
//! Depends on `model` alone: a recording is judged exactly as a live guest. Most rules compare the newest Snapshot with one some seconds
//! older (see [`View`]); what they find goes away some seconds after its cause has.

mod activity;
mod diary;
mod limits;
mod rules;
mod view;

use std::collections::BTreeMap;

pub use diary::{Diary, Entry};
pub use limits::{LIMITS, Limit, Limits};
pub use rules::{RULES, Rule};
pub use view::View;

use crate::model::{Finding, Number, Severity, Snapshot};
use activity::Activity;
use view::Window;

/// Judges one Snapshot after the other. Holds two older ones and a few words per live connection: its memory does not grow with time.
pub struct Judge {
    limits: Limits,
    window: Window,
    activity: Activity,
}

impl Judge {
    /// One that has seen nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self { window: Window::new(limits.window_ms), limits, activity: Activity::default() }
    }

    /// What is wrong now, the worst first.
    pub fn judge(&mut self, now: &Snapshot) -> Vec<Finding> {
        self.activity.update(now);
        let view = View::new(now, self.window.older(now), &self.limits, &self.activity);
        let mut found: Vec<_> = RULES.iter().flat_map(|rule| (rule.check)(&view, rule)).collect();
        found.sort_by(|a, b| b.severity.cmp(&a.severity).then(a.rule.cmp(&b.rule)).then(a.port.cmp(&b.port)));
        self.window.keep(now);
        found
    }
}

/// How many connections a finding names.
const NAMED: usize = 10;

/// A finding in the making.
struct Draft(Finding);

impl Draft {
    fn new(rule: &Rule, severity: Severity, summary: String, remedy: &str) -> Self {
        Self(Finding {
            rule: rule.name.to_owned(),
            severity,
            summary,
            remedy: remedy.to_owned(),
            port: None,
            connections: Vec::new(),
            evidence: BTreeMap::new(),
            thresholds: BTreeMap::new(),
        })
    }

    fn at_port(mut self, port: u32) -> Self {
        self.0.port = Some(port);
        self
    }

    fn about<'a>(mut self, connections: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.connections = connections.into_iter().take(NAMED).map(str::to_owned).collect();
        self
    }

    /// A number it rests on; left out when it is not known.
    fn with(mut self, name: &str, value: Option<impl Into<Number>>) -> Self {
        if let Some(value) = value {
            self.0.evidence.insert(name.to_owned(), value.into());
        }
        self
    }

    fn limit(mut self, name: &str, value: u64) -> Self {
        self.0.thresholds.insert(name.to_owned(), Number::Whole(value));
        self
    }

    fn done(self) -> Finding {
        self.0
    }
}
