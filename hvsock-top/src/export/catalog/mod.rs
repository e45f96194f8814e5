//! Which metrics there are. A new one is a few lines here and a row in docs/prometheus.md.

mod guest;
mod lookup;
mod ports;
mod tool;

use super::{
    family::{Family, Kind, Unit},
    ports::PortRows,
};
use crate::model::Snapshot;

/// Every metric of a Snapshot. Those of which nothing is known have no samples, and are not shown.
pub(super) fn families(snapshot: &Snapshot, ports: &PortRows) -> Vec<Family> {
    let mut all = ports::families(snapshot, ports);
    all.extend(guest::families(snapshot));
    all.extend(lookup::families(snapshot));
    all.extend(tool::families(snapshot));
    all
}

fn counter(name: &'static str, unit: Option<Unit>, help: &'static str) -> Family {
    Family::new(Kind::Counter, name, unit, help)
}

fn gauge(name: &'static str, unit: Option<Unit>, help: &'static str) -> Family {
    Family::new(Kind::Gauge, name, unit, help)
}
