//! What happens on the guest as a whole.

use std::collections::BTreeMap;

use super::{counter, gauge};
use crate::{
    export::family::{Family, Kind, Unit, Value, label},
    model::{Finding, Severity, Snapshot},
};

pub(super) fn families(snapshot: &Snapshot) -> Vec<Family> {
    let mut all = vec![closes(snapshot)];
    all.extend(totals(snapshot));
    all.extend(latencies(snapshot));
    all.push(memory(snapshot));
    all.push(findings(snapshot.findings.as_deref()));
    all
}

fn closes(snapshot: &Snapshot) -> Family {
    let mut family = counter("closes", None, "Connections that ended, by how.");
    let closes = &snapshot.closes;
    for (reason, value) in [
        ("graceful", closes.graceful),
        ("timed_out", closes.timed_out),
        ("by_host", closes.by_host),
        ("other", closes.other),
    ] {
        family.whole(vec![label("reason", reason)], value);
    }
    family
}

fn totals(snapshot: &Snapshot) -> Vec<Family> {
    let totals = &snapshot.totals;
    let one = |mut family: Family, value| {
        family.whole(Vec::new(), value);
        family
    };
    let mut oldest = gauge(
        "offer_oldest_age",
        Some(Unit::Seconds),
        "How long the oldest offer has waited; 0 when none waits.",
    );
    let none = (totals.offers_waiting == Some(0)).then_some(0);
    oldest.nanoseconds(Vec::new(), totals.oldest_offer_ns.or(none));
    vec![
        one(
            gauge(
                "relids_used",
                None,
                "Channels that exist, of all VMBus devices; refused offers hold theirs until the host takes them back.",
            ),
            totals.relids_used,
        ),
        one(gauge("relids_limit", None, "Channels there can be."), Some(totals.relids_max)),
        one(
            gauge("ring_memory", Some(Unit::Bytes), "Memory of all rings of live connections."),
            totals.ring_memory_bytes,
        ),
        one(
            gauge(
                "offers_waiting",
                None,
                "Offers that no probe has begun to handle: they queue behind one worker.",
            ),
            totals.offers_waiting,
        ),
        oldest,
        one(
            counter(
                "host_refusals",
                None,
                "Connects that the host refused by message; it does not say which.",
            ),
            totals.host_refusals,
        ),
        one(
            counter("ring_teardown_failures", None, "Ring teardowns that failed: the ring's memory is lost."),
            totals.teardown_failures,
        ),
        one(
            counter("binds_not_permitted", None, "Binds to a port that were refused with EPERM or EACCES."),
            totals.binds_not_permitted,
        ),
        one(
            counter("sockets_not_permitted", None, "Sockets of AF_HYPERV that were refused with EPERM."),
            totals.sockets_not_permitted,
        ),
    ]
}

/// One histogram for each that the Snapshot has, by its name.
fn latencies(snapshot: &Snapshot) -> Vec<Family> {
    let one = |(name, histogram): (&String, &Option<crate::model::Histogram>)| {
        // Not the name alone: `send_stall` is a counter's already, and in OpenMetrics they would be one family.
        let family_name = format!("{name}_duration");
        let mut family = Family::new(Kind::Histogram, family_name, Some(Unit::Seconds), help(name));
        family.add(Vec::new(), histogram.clone().map(|h| Value::Distribution(Box::new(h))));
        family
    };
    snapshot.latency.iter().map(one).collect()
}

fn help(name: &str) -> &'static str {
    match name {
        "connect" => "Connect of the guest, from its begin to the established connection.",
        "offer_to_probe" => "From the host's offer to the begin of its handling.",
        "lookup" => "Search for the bound socket, with the wait for its lock.",
        "ring_alloc" => "Allocation of the rings.",
        "host_open" => "Wait for the host to open the channel, the allocation left out.",
        "other_open" => "The rest of the open.",
        "accept_wait" => "From the established connection to its accept.",
        "first_byte_tx" => {
            "From the established connection to the first payload, when the guest sends first."
        }
        "first_byte_rx" => "From the established connection to the first payload, when the host sends first.",
        "close" => "From the guest's close to its end.",
        "callback_run" => "Time inside the channel callback.",
        "callback_delay" => "From the host's interrupt to the channel callback.",
        "send_stall" => "Waits of a sender for room in the ring.",
        "recv_wait" => "Waits of a reader for data.",
        _ => "A latency that this version has no words for.",
    }
}

fn memory(snapshot: &Snapshot) -> Family {
    let mut family = gauge(
        "memory_free_blocks",
        None,
        "Free blocks of 2^order pages, zone DMA left out: the rings of a connection are one such block.",
    );
    for (order, blocks) in snapshot.memory.free_blocks.iter().flatten().enumerate() {
        family.whole(vec![label("order", order.to_string())], Some(*blocks));
    }
    family
}

fn findings(findings: Option<&[Finding]>) -> Family {
    let mut family = gauge("findings", None, "What is wrong now, by rule; docs/findings says what to do.");
    let mut counts: BTreeMap<(&str, Severity), u64> = BTreeMap::new();
    for finding in findings.unwrap_or_default() {
        *counts.entry((&finding.rule, finding.severity)).or_insert(0) += 1;
    }
    for ((rule, severity), n) in counts {
        let severity = match severity {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        };
        family.whole(vec![label("rule", rule.to_owned()), label("severity", severity)], Some(n));
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_has_words() {
        for latency in hvsock_common::Latency::ALL {
            assert!(!help(latency.name()).contains("no words"), "{}", latency.name());
        }
    }
}
