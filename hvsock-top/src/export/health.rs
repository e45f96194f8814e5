//! Whether what is told can be relied on.

use std::time::Duration;

use serde::Serialize;

use super::family::seconds;
use crate::model::{Finding, Module, Probe, ProbeState, Snapshot};

/// What `/healthz` says.
#[derive(Debug, Serialize)]
pub(super) struct Health {
    /// `ok` or `unhealthy`.
    status: &'static str,
    /// Why it is not ok, in sentences.
    reasons: Vec<String>,
    /// How old the newest Snapshot is.
    snapshot_age_seconds: Option<f64>,
    /// How old it may be.
    snapshot_age_limit_seconds: Option<f64>,
    /// When it was taken.
    snapshot_time: Option<String>,
    /// Where hv_sock comes from.
    hv_sock: Option<Module>,
    /// Whether nothing is known to have been missed.
    accounting_reconciled: Option<bool>,
    /// The events that nothing serves, needed or not.
    probes_missing: Vec<Probe>,
    /// What is wrong with the sockets, if somebody looked. It says nothing about the tool, so it does not make it unhealthy.
    findings: Option<Vec<Finding>>,
}

impl Health {
    /// Whether all is well.
    pub(super) fn is_ok(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Why the tool sees nothing, or not enough; empty when it sees.
pub(super) fn blindness(snapshot: &Snapshot) -> Vec<String> {
    if snapshot.host.hv_sock == Module::Absent {
        return vec!["hv_sock is not loaded: there is nothing to see".to_owned()];
    }
    let lost = snapshot.probes.iter().filter(|p| p.required && p.state != ProbeState::Active);
    lost.map(|probe| {
        let reason = probe.reason.as_deref().unwrap_or("no reason is known");
        format!("the event {}, without which nothing can be told, is not seen: {reason}", probe.event)
    })
    .collect()
}

/// The health that a Snapshot of this age shows.
pub(super) fn of(snapshot: &Snapshot, age: Duration, limit: Duration) -> Health {
    let mut reasons = blindness(snapshot);
    if !snapshot.accounting.reconciled {
        reasons.push(
            "accounting does not reconcile: something was missed, `accounting` in /snapshot says what"
                .to_owned(),
        );
    }
    if age > limit {
        reasons.push(format!("the newest Snapshot is {:.1} s old", age.as_secs_f64()));
    }
    let missing = snapshot.probes.iter().filter(|p| p.state != ProbeState::Active);
    Health {
        status: if reasons.is_empty() { "ok" } else { "unhealthy" },
        reasons,
        snapshot_age_seconds: Some(age.as_secs_f64()),
        snapshot_age_limit_seconds: Some(seconds(limit.as_nanos() as u64)),
        snapshot_time: Some(snapshot.time.clone()),
        hv_sock: Some(snapshot.host.hv_sock),
        accounting_reconciled: Some(snapshot.accounting.reconciled),
        probes_missing: missing.cloned().collect(),
        findings: snapshot.findings.clone(),
    }
}

/// The health before the first Snapshot.
pub(super) fn none() -> Health {
    Health {
        status: "unhealthy",
        reasons: vec!["there is no Snapshot yet".to_owned()],
        snapshot_age_seconds: None,
        snapshot_age_limit_seconds: None,
        snapshot_time: None,
        hv_sock: None,
        accounting_reconciled: None,
        probes_missing: Vec::new(),
        findings: None,
    }
}
