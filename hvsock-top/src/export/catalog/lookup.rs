//! What sockets are looked up in.

use super::{counter, gauge};
use crate::{
    export::family::{Family, Unit, Value, label},
    model::{LookupTable, Snapshot},
};

pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let lookup = snapshot.lookup.clone().unwrap_or_default();
    let mut lookups = counter("lookups", None, "Lookups of a bound socket, one for each open.");
    lookups.whole(Vec::new(), lookup.bound_lookups);
    let mut unbound =
        gauge("lookup_unbound_sockets", None, "Sockets that are not bound: nobody looks them up.");
    unbound.whole(Vec::new(), lookup.unbound);
    let mut age =
        gauge("lookup_tables_age", Some(Unit::Seconds), "Time since the tables of sockets were read.");
    age.nanoseconds(Vec::new(), lookup.age_ns);

    let tables = [("bound", &lookup.bound), ("connected", &lookup.connected)];
    let each = |mut family: Family, value: fn(&LookupTable) -> Option<Value>| {
        for (name, table) in tables {
            family.add(vec![label("table", name)], value(table));
        }
        family
    };
    let mut searches =
        counter("lookup_searches", None, "Searches of AF_HYPERV's sockets, where they are counted.");
    let mut nodes = counter("lookup_nodes", None, "Sockets compared in these searches.");
    if let Some(all) = &lookup.searches {
        for (name, table) in [("bound", &all.bound), ("connected", &all.connected)] {
            searches.whole(vec![label("table", name)], Some(table.lookups));
            nodes.whole(vec![label("table", name)], table.nodes);
        }
    }
    let one = |name, help, value| each(gauge(name, None, help), value);
    vec![
        lookups,
        one("lookup_sockets", "Sockets in the table, of all transports.", |t| t.sockets.map(Value::Whole)),
        one("lookup_buckets", "Buckets of the table.", |t| t.buckets.map(Value::Whole)),
        one("lookup_buckets_used", "Buckets with a socket at least.", |t| t.used_buckets.map(Value::Whole)),
        one("lookup_chain_longest", "Sockets in the fullest bucket.", |t| t.longest_chain.map(Value::Whole)),
        one("lookup_chain_mean", "Sockets per used bucket.", |t| t.mean_chain.map(Value::Real)),
        one(
            "lookup_nodes_per_hit",
            "Sockets looked at until one is found, each as likely as the others.",
            |t| t.nodes_per_hit.map(Value::Real),
        ),
        unbound,
        age,
        searches,
        nodes,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Lookup, Searched, Searches};

    fn value(snapshot: &Snapshot, name: &str, table: Option<&str>) -> Option<Value> {
        let families = families(snapshot);
        let family = families.iter().find(|f| f.series_name() == name).expect(name);
        let labels: Vec<_> = table.map(|table| label("table", table.to_owned())).into_iter().collect();
        family.samples.iter().find(|s| s.labels == labels).map(|s| s.value.clone())
    }

    #[test]
    fn each_table_has_its_own() {
        let mut snapshot = Snapshot::blank(9);
        snapshot.lookup = Some(Lookup {
            bound_lookups: Some(17),
            bound: LookupTable::of(&[Some(3), Some(0), Some(1)]),
            connected: LookupTable::of(&[Some(0); 2]),
            searches: Some(Searches {
                bound: Searched { lookups: 5, nodes: Some(70) },
                connected: Searched { lookups: 2, nodes: None },
            }),
            ..Lookup::blank()
        });
        let value = |name: &str, table| value(&snapshot, name, table);
        assert_eq!(value("hvsock_lookups_total", None), Some(Value::Whole(17)));
        for (name, bound, connected) in [
            ("hvsock_lookup_sockets", Value::Whole(4), Some(Value::Whole(0))),
            ("hvsock_lookup_buckets", Value::Whole(3), Some(Value::Whole(2))),
            ("hvsock_lookup_buckets_used", Value::Whole(2), Some(Value::Whole(0))),
            ("hvsock_lookup_chain_longest", Value::Whole(3), Some(Value::Whole(0))),
            ("hvsock_lookup_chain_mean", Value::Real(2.0), None),
            ("hvsock_lookup_nodes_per_hit", Value::Real(7.0 / 4.0), None),
        ] {
            assert_eq!(value(name, Some("bound")), Some(bound), "{name}");
            assert_eq!(value(name, Some("connected")), connected, "{name}");
        }
        for (table, lookups, nodes) in [("bound", 5, Some(70)), ("connected", 2, None)] {
            assert_eq!(value("hvsock_lookup_searches_total", Some(table)), Some(Value::Whole(lookups)));
            assert_eq!(value("hvsock_lookup_nodes_total", Some(table)), nodes.map(Value::Whole));
        }
        assert_eq!(value("hvsock_lookup_tables_age_seconds", None), Some(Value::Real(0.5)));
        assert_eq!(value("hvsock_lookup_unbound_sockets", None), Some(Value::Whole(0)));
    }

    #[test]
    fn what_was_not_read_is_absent() {
        let mut snapshot = Snapshot::blank(9);
        for lookup in [None, Some(Lookup { unread: Some("no address".to_owned()), ..Lookup::default() })] {
            snapshot.lookup = lookup;
            assert!(families(&snapshot).iter().all(|family| family.samples.is_empty()));
        }
    }
}
