//! Findings over a time: each once, as it was when it was worst.

use std::collections::BTreeMap;

use crate::model::Finding;

/// What was found over a time.
#[derive(Default)]
pub struct Diary {
    entries: BTreeMap<(String, Option<u32>), Entry>,
}

/// One finding, and when it was seen.
#[derive(Clone, Debug)]
pub struct Entry {
    /// As it was last.
    pub finding: Finding,
    /// When it was first seen, as the Snapshot says.
    pub first: String,
    /// When it was last seen.
    pub last: String,
}

impl Diary {
    /// Notes what a Snapshot of this time found.
    pub fn note(&mut self, time: &str, findings: &[Finding]) {
        for finding in findings {
            let key = (finding.rule.clone(), finding.port);
            let entry = self.entries.entry(key).or_insert_with(|| Entry {
                finding: finding.clone(),
                first: time.to_owned(),
                last: time.to_owned(),
            });
            time.clone_into(&mut entry.last);
            // What it was at its worst; of equals the later, which knows more.
            if finding.severity >= entry.finding.severity {
                entry.finding = finding.clone();
            }
        }
    }

    /// The worst first.
    pub fn entries(&self) -> Vec<&Entry> {
        let mut entries: Vec<_> = self.entries.values().collect();
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.finding.severity));
        entries
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}
