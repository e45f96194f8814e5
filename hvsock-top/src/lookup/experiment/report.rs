//! What comes out of the experiment. JSON names are stable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cells::{BurstCell, ContentionCell, Direction, OpenCell, Unit, Variant};
use crate::lookup::lab::Shape;

/// Version of the report's format.
pub const SCHEMA: u32 = 1;

/// Something that may grow with the number of sockets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Sockets compared for a lookup of a bound one, per lookup.
    BoundNodes,
    /// Sockets compared for a lookup of a connected one, per lookup.
    ConnectedNodes,
    /// The phase `lookup`: mean.
    LookupPhase,
    /// The module's own time of a lookup of a bound socket: mean.
    BoundCost,
    /// The module's own time of a lookup of a connected socket: mean.
    ConnectedCost,
    /// The phase `offer_to_probe`, with the VMBus driver's own search through all channels: mean. No lookup of ours is in it.
    OfferToProbe,
    /// All phases of an open together, the time the host takes included: mean.
    Open,
    /// What all threads run for a connection: median.
    Life,
}

/// How a cost grows: a straight line `a + b N` through the cells of a series, every one weighed by its relative error.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Growth {
    /// Whose sockets.
    pub variant: Variant,
    /// The unit of `a`, and of `b` for each socket; nodes are nodes.
    pub unit: Unit,
    /// Who asks.
    pub direction: Direction,
    /// What `N` is.
    pub over: Line,
    /// What grows.
    pub measure: Measure,
    /// How many cells the line goes through.
    pub points: u32,
    /// `a`.
    pub constant: f64,
    /// Its standard error.
    pub constant_error: f64,
    /// `b`.
    pub per_socket: f64,
    /// Its standard error.
    pub per_socket_error: f64,
    /// What that amounts to over the sizes measured.
    pub shape: Shape,
}

/// What changes along a series of cells.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// Idle connections, with one service.
    Idle,
    /// Services, with no idle connections.
    Services,
}

/// Something that the laboratory and theory predict, and whether the sockets show it.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What was expected, in words.
    pub expected: String,
    /// What was found, in figures.
    pub found: String,
    /// Whether it is so.
    pub holds: bool,
}

/// A virtual machine that cells were measured in.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// The unit of its cells.
    pub unit: Unit,
    /// Memory, MiB.
    pub memory_mib: u32,
    /// CPUs.
    pub cpus: u32,
    /// How its time passes: QEMU's options.
    pub qemu: String,
    /// Version of QEMU.
    pub qemu_version: String,
    /// Data bytes of a ring of AF_HYPERV's, from the ledger. `null` when no connection was looked at.
    pub af_hyperv_ring_bytes: Option<u64>,
    /// Data bytes of a ring of hv_sock's, likewise: the smallest that it makes.
    pub hv_sock_ring_bytes: Option<u64>,
}

/// Where, how and with what it was measured; by `cargo xtask bench lookup`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Heading {
    /// The command that does it again.
    pub command: String,
    /// Kernel release.
    pub kernel: String,
    /// Whether it is the quick form, with fewer and smaller cells.
    pub quick: bool,
    /// The machines, one for each unit.
    pub guests: Vec<Guest>,
}

/// The report.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentReport {
    /// Version of this format.
    pub schema: u32,
    /// When the report was made, RFC 3339.
    pub time: String,
    /// Version of hvsock-top.
    pub version: String,
    /// Where and how.
    pub heading: Heading,
    /// Connections one after the other: their phases.
    pub opens: Vec<OpenCell>,
    /// As many connections as possible.
    pub bursts: Vec<BurstCell>,
    /// Waiting for the mutex.
    pub contention: Vec<ContentionCell>,
    /// How costs grow.
    pub growth: Vec<Growth>,
    /// What was predicted, and found.
    pub checks: Vec<Check>,
}

impl ExperimentReport {
    /// The first measurement of connections one after the other, if it was made.
    pub fn open(
        &self,
        variant: Variant,
        unit: Unit,
        direction: Direction,
        (idle, services): (u32, u32),
    ) -> Option<&OpenCell> {
        self.opens.iter().find(|c| {
            c.variant == variant
                && c.unit == unit
                && c.direction == direction
                && (c.idle, c.services, c.run) == (idle, services, 1)
        })
    }

    /// The growth of a cost, if there were cells enough.
    pub fn growth(
        &self,
        variant: Variant,
        unit: Unit,
        direction: Direction,
        over: Line,
        measure: Measure,
    ) -> Option<&Growth> {
        self.growth.iter().find(|g| {
            (g.variant, g.unit, g.direction) == (variant, unit, direction)
                && (g.over, g.measure) == (over, measure)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_documentation_is_this() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/lookup-experiment.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(
            kept,
            serde_json::to_value(crate::model::schema::of::<ExperimentReport>()).unwrap(),
            "make it anew: cargo run -p hvsock-top -- lookup experiment --schema > docs/schema/lookup-experiment.json"
        );
    }
}
