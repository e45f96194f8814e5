//! What sockets are looked up in, for the Snapshot: read every few seconds, however often Snapshots are taken.

use std::time::Instant;

use hvsock_common::Hook;

use super::{
    attached::{Attached, Presence},
    clock::monotonic_ns,
    counters::Sums,
    pace::Pace,
};
use crate::{
    kernel::Lengths,
    model::{Lookup, LookupTable, Searched, Searches},
};

/// What was read, and when to read again.
pub(super) struct Lookups {
    pace: Pace,
    last: Option<Last>,
}

/// One reading.
struct Last {
    at_ns: u64,
    read: Result<Lengths, String>,
}

impl Lookups {
    /// Nothing was read yet.
    pub(super) fn new() -> Self {
        Self { pace: Pace::new(), last: None }
    }

    /// Reads the tables, if it is time.
    pub(super) fn look(&mut self, attached: &Attached) {
        if self.last.is_some() && !self.pace.is_due() {
            return;
        }
        let (begin, at_ns) = (Instant::now(), monotonic_ns());
        let read = read(attached).and_then(whole);
        self.pace.taken(begin.elapsed());
        self.last = Some(Last { at_ns, read });
    }

    /// As it was read last; `gone`: why what was attached is of no use any more.
    pub(super) fn describe(&self, now_ns: u64, gone: Option<&str>) -> Lookup {
        let unread = |why: &str| Lookup { unread: Some(why.to_owned()), ..Lookup::default() };
        match (gone, &self.last) {
            (Some(gone), _) => unread(gone),
            (None, None) => unread("not read yet"),
            (None, Some(Last { read: Err(why), .. })) => unread(why),
            (None, Some(Last { at_ns, read: Ok(lengths) })) => Lookup {
                age_ns: Some(now_ns.saturating_sub(*at_ns)),
                bound: LookupTable::of(&lengths.bound),
                connected: LookupTable::of(&lengths.connected),
                unbound: lengths.unbound,
                ..Lookup::default()
            },
        }
    }
}

/// A number that leaves out a bucket would be taken for the number of all.
fn whole(lengths: Lengths) -> Result<Lengths, String> {
    if lengths.bound.iter().chain(&lengths.connected).all(Option::is_some) {
        return Ok(lengths);
    }
    Err("a bucket kept changing while it was read".to_owned())
}

/// Reads the tables of the module that was attached to. If it went meanwhile, what was read may have been anything.
pub(super) fn read(attached: &Attached) -> Result<Lengths, String> {
    let tables = attached.loaded.tables.as_ref().map_err(ToString::to_string)?;
    let lengths = tables.read().map_err(|error| error.to_string())?;
    match attached.presence() {
        Presence::Same => Ok(lengths),
        Presence::Gone | Presence::Another => Err("hv_sock was unloaded meanwhile".to_owned()),
    }
}

/// What the searches went past, where that is counted.
pub(super) fn searches(attached: &Attached) -> Result<Searches, String> {
    let [bound, connected] = attached.loaded.searches.as_ref().map_err(Clone::clone)?.read();
    let told = |searched: hvsock_common::Searched| Searched {
        lookups: searched.lookups + searched.lost,
        nodes: (searched.lost == 0).then_some(searched.nodes),
    };
    Ok(Searches { bound: told(bound), connected: told(connected) })
}

/// Lookups of bound sockets in opens: what else calls the function is no concern of hv_sock's.
pub(super) fn lookups(sums: &Sums) -> u64 {
    let row = &sums.accounting[Hook::Lookup as usize];
    row.seen.saturating_sub(row.filtered)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookups(read: Result<Lengths, String>) -> Lookups {
        Lookups { pace: Pace::new(), last: Some(Last { at_ns: 1_000, read }) }
    }

    fn lengths(bound: Vec<Option<u64>>) -> Lengths {
        Lengths { bound, unbound: Some(4), connected: vec![Some(2)] }
    }

    #[test]
    fn a_reading_has_its_age() {
        let lookup = lookups(Ok(lengths(vec![Some(1), Some(0)]))).describe(1_500, None);
        assert_eq!((lookup.age_ns, lookup.unread), (Some(500), None));
        assert_eq!((lookup.bound.sockets, lookup.connected.sockets), (Some(1), Some(2)));
        assert_eq!(lookup.unbound, Some(4));
    }

    #[test]
    fn what_was_not_read_is_unknown_and_says_why() {
        let all = [
            (Lookups::new().describe(1, None), "not read yet"),
            (lookups(Err("no address".into())).describe(1, None), "no address"),
            (lookups(Ok(lengths(vec![Some(1)]))).describe(2_000, Some("it is gone")), "it is gone"),
        ];
        for (lookup, why) in all {
            assert_eq!(lookup, Lookup { unread: Some(why.into()), ..Lookup::default() });
        }
    }

    #[test]
    fn a_bucket_that_kept_changing_makes_all_unknown() {
        assert!(whole(lengths(vec![Some(1), Some(2)])).is_ok());
        assert!(whole(lengths(vec![Some(1), None])).is_err());
    }
}
