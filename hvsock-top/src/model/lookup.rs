//! How sockets are found: what they are looked up in, and how often.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What sockets are looked up in. What the lookups of opens take is in the Snapshot's `latency`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lookup {
    /// Time since the tables were read, which is done every few seconds only. `None`: they were not.
    pub age_ns: Option<u64>,
    /// Why the tables were not read.
    pub unread: Option<String>,
    /// Lookups of a bound socket, one for each open, since the probes were attached; those in vain are among them. `None`: they cannot be seen.
    pub bound_lookups: Option<u64>,
    /// The bound sockets: every open looks for one of them.
    pub bound: LookupTable,
    /// The connected ones. hv_sock never searches them; AF_HYPERV does when the host takes a channel away.
    pub connected: LookupTable,
    /// Sockets that are not bound, which vsock keeps in a bucket of their own that nobody searches.
    pub unbound: Option<u64>,
    /// What searches went past, counted one by one; `None`: it was not counted. AF_HYPERV's only.
    pub searches: Option<Searches>,
    /// Why it was not.
    pub uncounted: Option<String>,
}

/// The searches since hvsock-top was attached to the module that is loaded now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Searches {
    /// Of the bound sockets, by opens, binds and connects.
    pub bound: Searched,
    /// Of the connected sockets, when the host took a channel away.
    pub connected: Searched,
}

/// The searches of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Searched {
    /// How many.
    pub lookups: u64,
    /// Sockets that were compared, the one found included. `None`: a search was longer than can be counted.
    pub nodes: Option<u64>,
}

/// One table, at the moment at which it was read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LookupTable {
    /// Sockets in it, of all transports.
    pub sockets: Option<u64>,
    /// Buckets it has.
    pub buckets: Option<u64>,
    /// Buckets with a socket at least.
    pub used_buckets: Option<u64>,
    /// Sockets in the fullest bucket.
    pub longest_chain: Option<u64>,
    /// Sockets per used bucket; `None` too when there are none.
    pub mean_chain: Option<f64>,
    /// Sockets to look at until one of them is found, each as likely as the others; `None` too when there are none.
    pub nodes_per_hit: Option<f64>,
    /// How many used buckets have so many sockets: pairs of sockets and buckets, short chains first.
    pub chains: Option<Vec<(u64, u64)>>,
}

impl LookupTable {
    /// From the sockets in each bucket; `None`: it is not known, and counts in nothing but `buckets`.
    pub fn of(buckets: &[Option<u64>]) -> Self {
        let used = || buckets.iter().flatten().copied().filter(|n| *n > 0);
        let (sockets, used_buckets) = (used().sum::<u64>(), used().count() as u64);
        let looked_at: u64 = used().map(|n| n * (n + 1) / 2).sum();
        let mut chains = BTreeMap::new();
        for length in used() {
            *chains.entry(length).or_insert(0_u64) += 1;
        }
        Self {
            sockets: Some(sockets),
            buckets: Some(buckets.len() as u64),
            used_buckets: Some(used_buckets),
            longest_chain: Some(used().max().unwrap_or(0)),
            mean_chain: (sockets > 0).then(|| sockets as f64 / used_buckets as f64),
            nodes_per_hit: (sockets > 0).then(|| looked_at as f64 / sockets as f64),
            chains: Some(chains.into_iter().collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_described_by_its_chains() {
        let table = LookupTable::of(&[Some(0), Some(3), None, Some(1), Some(3)]);
        assert_eq!((table.sockets, table.buckets, table.used_buckets), (Some(7), Some(5), Some(3)));
        assert_eq!(table.longest_chain, Some(3));
        assert_eq!(table.mean_chain, Some(7.0 / 3.0));
        // 1 + 2 + 3 in the two, 1 in the other.
        assert_eq!(table.nodes_per_hit, Some(13.0 / 7.0));
        assert_eq!(table.chains, Some(vec![(1, 1), (3, 2)]));
    }

    #[test]
    fn an_empty_table_has_no_mean() {
        let table = LookupTable::of(&[Some(0); 251]);
        assert_eq!((table.sockets, table.longest_chain), (Some(0), Some(0)));
        assert_eq!((table.mean_chain, table.nodes_per_hit), (None, None));
        assert_eq!(table.chains, Some(Vec::new()));
    }
}
