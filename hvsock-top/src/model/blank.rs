//! Made-up Snapshots, to be filled in by whoever tests an output or a rule.

use std::collections::BTreeMap;

use super::{
    Accounting, Callbacks, Closes, Connection, ConnectionLatency, Direction, Family, Host, InRing, Lookup,
    LookupTable, Memory, Module, Opens, OpensFromHost, OpensToHost, OutRing, Received, Rings, SCHEMA, Sent,
    Snapshot, State, Tool, Totals, Traffic,
};

impl Snapshot {
    /// A guest on which nothing has happened in the first `seconds`; everything is measured.
    pub fn blank(seconds: u64) -> Self {
        let none = Some(0);
        Self {
            schema: SCHEMA,
            time: "2026-01-02T03:04:05.678Z".to_owned(),
            interval_ns: Some(1_000_000_000),
            uptime_ns: seconds * 1_000_000_000,
            observed_ns: Some(seconds * 1_000_000_000),
            host: Host {
                kernel: "6.12.0-made-up".to_owned(),
                hostname: "guest".to_owned(),
                hv_sock: Module::Module,
                family: Family::Vsock,
                vmbus_version: Some("5.3".to_owned()),
            },
            memory: Memory { page_bytes: Some(4096), free_blocks: Some(vec![1000; 11]) },
            tool: Tool { version: "0".to_owned(), pid: 1, cpu_ns: none, resident_bytes: none },
            opens: Opens {
                from_host: OpensFromHost {
                    ok: none,
                    not_vsock: none,
                    no_listener: none,
                    bad_state: none,
                    backlog_full: none,
                    nomem_sock: none,
                    transport: none,
                    ring_enomem: none,
                    host_refused: none,
                    rescinded: none,
                    ambiguous: none,
                    other: none,
                },
                to_host: OpensToHost {
                    ok: none,
                    timed_out: none,
                    refused: none,
                    interrupted: none,
                    unreachable: none,
                    not_permitted: none,
                    abandoned: none,
                    other: none,
                    late_offers: none,
                    ring_enomem: none,
                    host_refused: none,
                },
            },
            closes: Closes { graceful: none, timed_out: none, by_host: none, other: none },
            connections: Vec::new(),
            ports: Vec::new(),
            listeners: Vec::new(),
            latency: BTreeMap::new(),
            totals: Totals {
                traffic: Traffic::blank(),
                live_connections: none,
                closed_connections: none,
                relids_used: Some(4),
                relids_max: 2048,
                ring_memory_bytes: none,
                never_accepted: none,
                offers_waiting: none,
                oldest_offer_ns: None,
                host_refusals: none,
                teardown_failures: none,
                binds_not_permitted: none,
                sockets_not_permitted: none,
            },
            lookup: Some(Lookup::blank()),
            probes: Vec::new(),
            accounting: Accounting { hooks: BTreeMap::new(), reconciled: true },
            findings: None,
        }
    }
}

impl Lookup {
    /// Empty tables, read half a second ago.
    pub fn blank() -> Self {
        let empty = [Some(0); 251];
        Self {
            age_ns: Some(500_000_000),
            unread: None,
            bound_lookups: Some(0),
            bound: LookupTable::of(&empty),
            connected: LookupTable::of(&empty),
            unbound: Some(0),
            searches: None,
            uncounted: Some("vsock's cannot be counted".to_owned()),
        }
    }
}

impl Traffic {
    /// None.
    pub fn blank() -> Self {
        let none = Some(0);
        Self {
            tx_bytes: none,
            rx_bytes: none,
            tx_packets: none,
            rx_packets: none,
            callbacks: none,
            stalls: none,
            stall_ns: none,
            eagain: none,
            short_writes: none,
            failed_writes: none,
            ring_invalid: none,
            wait_ns: none,
        }
    }
}

impl Connection {
    /// An established connection of the guest's to the host's port `port`, on which nothing has happened.
    pub fn blank(relid: u32, port: u32) -> Self {
        let (none, nothing) = (Some(0), Some(0));
        Self {
            id: format!("{relid}-1"),
            relid,
            direction: Some(Direction::ToHost),
            local_port: Some(1_000_000 + relid),
            remote_port: Some(port),
            service_guid: format!("{port:08x}-facb-11e6-bd58-64006a7986d3"),
            state: Some(State::Established),
            pid: Some(100),
            comm: Some("service".to_owned()),
            fd: Some(3),
            opened_at: Some("2026-01-02T03:04:05.000Z".to_owned()),
            age_ns: Some(678_000_000),
            ending_for_ns: None,
            known_since_start: true,
            tx: Sent {
                bytes: none,
                packets: none,
                calls: none,
                short_writes: none,
                eagain: none,
                failed_writes: none,
                stalls: none,
                stall_ns: none,
                stalled_for_ns: none,
                last_error: nothing,
            },
            rx: Received {
                bytes: none,
                packets: none,
                calls: none,
                waits: none,
                wait_ns: none,
                waiting_for_ns: none,
                errors: none,
                last_error: none,
            },
            callbacks: Callbacks { count: none, run_ns: none },
            rings: Rings {
                outgoing: OutRing {
                    size_bytes: Some(24_576),
                    used_bytes: nothing,
                    max_used_bytes: nothing,
                    reserved_bytes: 72,
                    occupancy: Some(vec![0; 17]),
                    full_by_2016_rule: nothing,
                    invalid: nothing,
                },
                incoming: InRing {
                    size_bytes: Some(24_576),
                    used_bytes: nothing,
                    max_used_bytes: nothing,
                    occupancy: Some(vec![0; 17]),
                    invalid: nothing,
                    unread_bytes: None,
                },
                memory_bytes: Some(65_536),
                alloc_order: Some(4),
            },
            latency: ConnectionLatency::default(),
        }
    }
}
