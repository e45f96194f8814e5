//! Findings: what is wrong, and how one knows.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is slower or nearer to its limit than it should be.
    Warning,
    /// Connections or data are being lost, or the tool cannot be trusted.
    Critical,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Name of the rule; stable. `docs/findings/<rule>.md` says what it means and what to do.
    pub rule: String,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong, in one sentence.
    pub summary: String,
    /// What to do, in one sentence.
    pub remedy: String,
    /// The service's port that it is about, if it is about one.
    pub port: Option<u32>,
    /// Ids of connections that it is about, the worst first, no more than ten.
    pub connections: Vec<String>,
    /// The numbers it rests on, by name; names end in their unit.
    pub evidence: BTreeMap<String, Number>,
    /// The threshold that was exceeded, by name.
    pub thresholds: BTreeMap<String, Number>,
}

/// A number of some evidence.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Number {
    /// A count, a size, a duration.
    Whole(u64),
    /// A rate or a share.
    Real(f64),
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::Whole(value.into())
    }
}

impl From<f64> for Number {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}
