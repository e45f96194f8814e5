//! What comes out of the laboratory. JSON names are stable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A structure that finds a socket.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Structure {
    /// One list of bound sockets, compared by service GUID: the patch, on each open and bind.
    ListByGuid,
    /// One list of connected sockets, compared by channel: the patch, when the host rescinds a channel.
    ListByChannel,
    /// 251 chains by port: vsock.
    Hash251,
    /// Chains by port, twice as many whenever there are three sockets for four chains: like rhashtable.
    HashGrowing,
    /// A pointer kept with the channel, by relid: `per_channel_state`.
    Pointer,
}

impl Structure {
    /// All, in the order of the report.
    pub const ALL: [Self; 5] =
        [Self::ListByGuid, Self::ListByChannel, Self::Hash251, Self::HashGrowing, Self::Pointer];

    /// The name for people.
    pub const fn label(self) -> &'static str {
        match self {
            Self::ListByGuid => "list by GUID",
            Self::ListByChannel => "list by channel",
            Self::Hash251 => "hash, 251 buckets",
            Self::HashGrowing => "hash that grows",
            Self::Pointer => "pointer by relid",
        }
    }
}

/// What is looked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Any of the sockets, each as likely as the others.
    Hit,
    /// The socket that takes the most nodes to find.
    Worst,
    /// A socket that is not there.
    Miss,
}

impl Kind {
    /// All, in the order of the report.
    pub const ALL: [Self; 3] = [Self::Hit, Self::Worst, Self::Miss];
}

/// What the processor's caches held when the lookup began.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cache {
    /// The same lookups were made just before.
    Warm,
    /// Nothing of the structure.
    Cold,
}

impl Cache {
    /// All, in the order of the report.
    pub const ALL: [Self; 2] = [Self::Warm, Self::Cold];
}

/// A time that was measured again and again, nanoseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Spread {
    /// Half of the rounds took less.
    pub median: f64,
    /// The mean: better than the median where the clock's step is coarse.
    pub mean: f64,
    /// A quarter took less.
    pub p25: f64,
    /// Three quarters took less.
    pub p75: f64,
    /// The fastest.
    pub min: f64,
    /// The slowest.
    pub max: f64,
    /// How many rounds.
    pub rounds: u32,
}

/// Nodes that the lookups visited, and what theory says.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Nodes {
    /// Lookups counted.
    pub lookups: u64,
    /// Nodes visited, all together.
    pub visited: u64,
    /// Nodes that these lookups must visit, from the order of the sockets.
    pub expected: u64,
    /// `visited` and `expected` are the same number, and so were they in every batch.
    pub exact: bool,
    /// Nodes per lookup.
    pub mean: f64,
    /// Nodes per lookup by the formula: (N+1)/2, N, 1+(N-1)/2B, N/B, 1, 0. `null` where there is none (worst case of a hash).
    pub formula: Option<f64>,
    /// How far the mean is from the formula, in standard errors of a sample of this size. `null` without a formula; 0 where both are the same
    /// number.
    pub z: Option<f64>,
}

/// The same lookups in user space.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct CrossCheck {
    /// Nanoseconds per lookup.
    pub ns: Spread,
    /// It visited as many nodes as theory says.
    pub exact: bool,
}

/// One measurement.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Cell {
    /// The structure.
    pub structure: Structure,
    /// Sockets in it.
    pub sockets: u32,
    /// What was looked for.
    pub kind: Kind,
    /// What the caches held.
    pub cache: Cache,
    /// Lookups per round: the spread is that of their mean.
    pub lookups_per_round: u32,
    /// Nanoseconds per lookup, without the fixed cost. May be slightly negative where there is next to nothing to measure.
    pub ns: Spread,
    /// Nodes visited.
    pub nodes: Nodes,
    /// The same with pointers in user space; warm only.
    pub user: Option<CrossCheck>,
}

/// What a program costs that does everything but walk, nanoseconds. It has been subtracted.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Fixed {
    /// A lookup by itself, with one reading of the clock.
    pub single_ns: Spread,
    /// Each further run within a system call.
    pub further_ns: Spread,
    /// A lookup in user space.
    pub user_ns: Spread,
}

/// How the nodes to be visited grow with the number of sockets.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// It does not.
    Constant,
    /// In proportion.
    Linear,
    /// In proportion, but so slowly that the constant part is the larger one over the whole range.
    LinearSlow,
    /// The sizes do not tell.
    Unclear,
}

/// How the cost grows: a straight line `a + b N` through the median times, every size weighed by its relative error.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Fit {
    /// The structure.
    pub structure: Structure,
    /// What was looked for.
    pub kind: Kind,
    /// What the caches held.
    pub cache: Cache,
    /// Sizes that the line goes through.
    pub sizes: u32,
    /// `a`, nanoseconds.
    pub constant_ns: f64,
    /// Its standard error.
    pub constant_error_ns: f64,
    /// `b`, nanoseconds for each socket.
    pub per_socket_ns: f64,
    /// Its standard error.
    pub per_socket_error_ns: f64,
    /// `k` in `N^k`, over the upper half of the sizes: 0 is constant, 1 is linear. `null` with fewer than three sizes there.
    pub exponent: Option<f64>,
    /// Its standard error.
    pub exponent_error: Option<f64>,
    /// How the number of nodes grows, which is exact. The time of a structure that does not grow still does where its memory outgrows the caches.
    pub shape: Shape,
}

/// Where it was measured.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Machine {
    /// Kernel release.
    pub kernel: Option<String>,
    /// The processor's own name.
    pub cpu: Option<String>,
    /// The kernel's clock.
    pub clocksource: Option<String>,
    /// Its smallest step that was seen, nanoseconds.
    pub clock_step_ns: u64,
    /// Whether the kernel compiles BPF programs; interpreted ones take many times as long.
    pub jit: Option<bool>,
    /// How the caches are emptied: `clflush`, or `eviction` by reading other memory.
    pub cold_by: String,
}

/// The report of the laboratory.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LabReport {
    /// Version of this format.
    pub schema: u32,
    /// When it was begun, RFC 3339.
    pub time: String,
    /// All that was asked for is there.
    pub complete: bool,
    /// Why not.
    pub stopped_by: Option<String>,
    /// Where it was measured.
    pub machine: Machine,
    /// What all choices at random were made from.
    pub seed: u64,
    /// Numbers of sockets asked for.
    pub sizes: Vec<u32>,
    /// Bytes from one socket to the next.
    pub node_bytes: u64,
    /// Bytes of all maps.
    pub memory_bytes: u64,
    /// The cost of a program without a walk.
    pub fixed: Fixed,
    /// The measurements, in the order in which they were made.
    pub cells: Vec<Cell>,
    /// How each structure's cost grows.
    pub fits: Vec<Fit>,
}

impl LabReport {
    /// The measurement of that name, if it was made.
    pub fn cell(&self, structure: Structure, sockets: u32, kind: Kind, cache: Cache) -> Option<&Cell> {
        self.cells
            .iter()
            .find(|c| c.structure == structure && c.sockets == sockets && c.kind == kind && c.cache == cache)
    }

    /// Whether every lookup visited exactly the nodes that theory says, in the kernel and in user space.
    pub fn is_exact(&self) -> bool {
        self.cells.iter().all(|c| c.nodes.exact && c.user.is_none_or(|user| user.exact))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_documentation_is_this() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/lookup-lab.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(
            kept,
            serde_json::to_value(crate::model::schema::of::<LabReport>()).unwrap(),
            "make it anew: cargo run -p hvsock-top -- lookup lab --schema > docs/schema/lookup-lab.json"
        );
    }
}
