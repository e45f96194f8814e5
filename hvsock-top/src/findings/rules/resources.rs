//! What connections are made of, and what runs short.

use super::{Rule, count, ns, time};
use crate::{
    findings::{Draft, View},
    model::{Finding, Histogram, Severity},
};

pub(super) fn relids_high(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    /// From here on it is a matter of moments.
    const CRITICAL: u64 = 95;
    let totals = &view.now.totals;
    let Some(used) = totals.relids_used else { return Vec::new() };
    let percent = used * 100 / totals.relids_max.max(1);
    if percent < view.limits.relids_percent {
        return Vec::new();
    }
    let summary = format!("{used} of the VMBus's {} channels are in use", totals.relids_max);
    vec![
        Draft::new(
            rule,
            if percent >= CRITICAL { Severity::Critical } else { Severity::Warning },
            summary,
            "close connections that are not needed: beyond the last channel the host's offers cannot be used at all",
        )
        .with("relids_used", Some(used))
        .with("relids_max", Some(totals.relids_max))
        .with("live_connections", totals.live_connections)
        .limit("relids_percent", view.limits.relids_percent)
        .done(),
    ]
}

pub(super) fn ring_memory(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let failed = [view.grown(|s| s.opens.from_host.ring_enomem), view.grown(|s| s.opens.to_host.ring_enomem)];
    let failed: u64 = failed.into_iter().flatten().sum();
    // The largest that a connection has now is the one that is hardest to get.
    let order = view.now.connections.iter().filter_map(|c| c.rings.alloc_order).max();
    let free =
        order.zip(view.now.memory.free_blocks.as_deref()).map(|(order, blocks)| obtainable(blocks, order));
    let short = free.is_some_and(|free| free < view.limits.free_blocks);
    if failed == 0 && !short {
        return Vec::new();
    }
    let size = order.zip(view.now.memory.page_bytes).map(|(order, page)| page << order);
    let summary = if failed > 0 {
        format!(
            "{} for want of contiguous memory for its rings",
            count(failed, "open failed", "opens failed")
        )
    } else {
        format!(
            "memory is left for {} more, of {} KiB each",
            count(free.unwrap_or(0), "ring", "rings"),
            size.unwrap_or(0) / 1024
        )
    };
    vec![
        Draft::new(
            rule,
            if failed > 0 { Severity::Critical } else { Severity::Warning },
            summary,
            "make rings smaller (SO_SNDBUF and SO_RCVBUF on the listener), or memory less fragmented (echo 1 > /proc/sys/vm/compact_memory)",
        )
        .with("failed_opens", Some(failed))
        .with("alloc_order", order)
        .with("block_bytes", size)
        .with("free_blocks", free)
        .limit("free_blocks", view.limits.free_blocks)
        .done(),
    ]
}

/// How many blocks of this order the free blocks of it and of larger ones make.
fn obtainable(blocks: &[u64], order: u32) -> u64 {
    let order = order as usize;
    blocks.iter().enumerate().skip(order).map(|(at, free)| free << (at - order)).sum()
}

pub(super) fn offers_queued(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let totals = &view.now.totals;
    let Some(oldest) = totals.oldest_offer_ns.filter(|oldest| *oldest >= ns(view.limits.offer_wait_ms))
    else {
        return Vec::new();
    };
    let summary = format!(
        "{} for the one worker that handles them, the oldest for {}",
        count(totals.offers_waiting.unwrap_or(1), "offer waits", "offers wait"),
        time(oldest)
    );
    vec![
        Draft::new(
            rule,
            Severity::Warning,
            summary,
            "look at the phases of the opens: each waits for those before it (host's answer, ring memory, uevents)",
        )
        .with("offers_waiting", totals.offers_waiting)
        .with("oldest_ns", Some(oldest))
        .limit("offer_wait_ms", view.limits.offer_wait_ms)
        .done(),
    ]
}

pub(super) fn lookup_slow(view: &View<'_>, rule: &Rule) -> Vec<Finding> {
    let recent = |name: &str| -> Option<Histogram> {
        let now = view.now.latency.get(name)?.as_ref()?;
        Some(now.since(view.then?.latency.get(name)?.as_ref()?))
    };
    let Some(lookup) = recent("lookup") else { return Vec::new() };
    // One that was interrupted says nothing: the median of some.
    if lookup.count < view.limits.lookups.max(1) {
        return Vec::new();
    }
    let Some(p50) = lookup.p50_ns.filter(|p50| *p50 >= view.limits.lookup_us.saturating_mul(1000)) else {
        return Vec::new();
    };
    let whole: Option<u64> = ["offer_to_probe", "lookup", "ring_alloc", "host_open", "other_open"]
        .iter()
        .map(|name| recent(name).map(|h| h.sum_ns))
        .sum();
    let share = whole.filter(|ns| *ns > 0).map(|ns| 100.0 * lookup.sum_ns as f64 / ns as f64);
    let summary = format!("finding the listener took {} (median of {})", time(p50), lookup.count);
    vec![
        Draft::new(
            rule,
            Severity::Info,
            summary,
            "many sockets are bound to ports that are equal modulo 251, or many CPUs use vsock's one table lock",
        )
        .with("p50_ns", Some(p50))
        .with("p99_ns", lookup.p99_ns)
        .with("lookups", Some(lookup.count))
        .with("percent_of_open", share)
        .limit("lookup_us", view.limits.lookup_us)
        .limit("lookups", view.limits.lookups)
        .done(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn larger_blocks_make_smaller_ones() {
        assert_eq!(obtainable(&[9, 9, 1, 0, 1], 2), 1 + 4);
        assert_eq!(obtainable(&[1], 3), 0);
    }
}
