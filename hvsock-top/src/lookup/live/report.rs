//! What `lookup live` says. JSON names are stable.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    kernel::Lengths,
    model::{Family, LookupTable},
};

/// Version of the report's format.
pub const SCHEMA: u32 = 1;

/// One of vsock's hash tables, at one moment.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Table {
    /// Sockets in it.
    pub sockets: u64,
    /// Buckets without any.
    pub empty_buckets: u64,
    /// Sockets in the fullest bucket.
    pub longest: u64,
    /// Sockets per bucket that is not empty. `null` when all are.
    pub mean: Option<f64>,
    /// Sockets to look at until one of them is found, each as likely as the others. `null` when there are none.
    pub nodes_per_hit: Option<f64>,
    /// Sockets by bucket. `null`: the bucket kept changing while it was read; it counts in no other number.
    pub buckets: Vec<Option<u64>>,
}

impl Table {
    /// From the length of each chain.
    pub(super) fn new(buckets: Vec<Option<u64>>) -> Self {
        let LookupTable { sockets, longest_chain, mean_chain, nodes_per_hit, .. } = LookupTable::of(&buckets);
        Self {
            sockets: sockets.unwrap_or_default(),
            empty_buckets: buckets.iter().filter(|bucket| **bucket == Some(0)).count() as u64,
            longest: longest_chain.unwrap_or_default(),
            mean: mean_chain,
            nodes_per_hit,
            buckets,
        }
    }

    /// Buckets that kept changing.
    pub fn unread(&self) -> usize {
        self.buckets.iter().filter(|bucket| bucket.is_none()).count()
    }
}

/// The tables in which sockets are looked up. AF_HYPERV's have 251 buckets as well, and use one of them where it is loaded with `lookup=list`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Tables {
    /// Bound sockets, 251 buckets by `port % 251`: what an open from the host is looked up in. Sockets of all transports.
    pub bound: Table,
    /// Sockets that are not bound (the 252nd bucket, which nobody searches). `null`: it kept changing, or the family keeps none.
    pub unbound: Option<u64>,
    /// Connected sockets, 251 buckets by `(remote CID ^ local port) % 251`; hv_sock never searches them.
    /// AF_HYPERV's: by the channel's relid, searched when the host takes a channel away.
    pub connected: Table,
}

impl From<Lengths> for Tables {
    fn from(lengths: Lengths) -> Self {
        Self {
            bound: Table::new(lengths.bound),
            unbound: lengths.unbound,
            connected: Table::new(lengths.connected),
        }
    }
}

/// A phase of the opens that ended within the time.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Phase {
    /// As in the Snapshot's `latency`.
    pub name: String,
    /// Whether it can be seen on this kernel; if not, all else is `null`.
    pub seen: bool,
    /// How often.
    pub count: Option<u64>,
    /// All together.
    pub sum_ns: Option<u64>,
    /// Median.
    pub p50_ns: Option<u64>,
    /// 99th percentile.
    pub p99_ns: Option<u64>,
    /// Upper bound (inclusive) and count of each bucket that is not empty.
    pub buckets: Option<Vec<(u64, u64)>>,
    /// Part of all phases together, 0 to 1. `null` unless all phases are seen and something was opened.
    pub share: Option<f64>,
}

/// What still goes through a list, or one worker, for each new channel.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Scan {
    /// VMBus devices, each with a channel at least: an offer is compared with all of them. `null`: sysfs does not say.
    pub channels: Option<u64>,
    /// The part of an open between the host's offer and `hvs_probe`: the scan, the device's registration, and the wait for the one worker. The
    /// scan itself cannot be seen, because the compiler puts it into its caller; it is no more than this. `null` as in [`Phase::share`].
    pub offer_to_probe_share: Option<f64>,
    /// Offers that wait for the worker now.
    pub waiting: Option<u64>,
}

/// The report.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LiveReport {
    /// Version of this format.
    pub schema: u32,
    /// When the tables were read, RFC 3339.
    pub time: String,
    /// Kernel release.
    pub kernel: String,
    /// Which family's tables and opens these are; absent in reports of older versions, which knew vsock's only.
    pub family: Option<Family>,
    /// The tables.
    pub tables: Option<Tables>,
    /// Why there are none.
    pub tables_unread: Option<String>,
    /// How long opens were watched, nanoseconds.
    pub observed_ns: u64,
    /// Lookups of a bound socket in that time. `null`: they cannot be seen on this kernel.
    pub lookups: Option<u64>,
    /// The same for each second.
    pub lookups_per_second: Option<f64>,
    /// The phases of an open, in their order.
    pub phases: Vec<Phase>,
    /// What is linear still.
    pub scan: Scan,
    /// What cannot be seen on this kernel, and why.
    pub unseen: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_described_by_its_chains() {
        let table = Table::new(vec![Some(0), Some(3), None, Some(1)]);
        assert_eq!((table.sockets, table.empty_buckets, table.longest, table.unread()), (4, 1, 3, 1));
        assert_eq!(table.mean, Some(2.0));
        // 1 + 2 + 3 in the one, 1 in the other.
        assert_eq!(table.nodes_per_hit, Some(7.0 / 4.0));
        let empty = Table::new(vec![Some(0); 251]);
        assert_eq!((empty.mean, empty.nodes_per_hit, empty.empty_buckets), (None, None, 251));
    }

    #[test]
    fn the_schema_in_the_documentation_is_this() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema/lookup-live.json");
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!(
            kept,
            serde_json::to_value(crate::model::schema::of::<LiveReport>()).unwrap(),
            "make it anew: cargo run -p hvsock-top -- lookup live --schema > docs/schema/lookup-live.json"
        );
    }
}
