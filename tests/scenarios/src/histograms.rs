//! The latency histograms against the counters of the same Snapshot: every event of a kind has been timed, once.

use anyhow::{Context as _, Result, ensure};
use hvsock_guest::family::Family;
use serde_json::Value;

use crate::snapshot::{Snapshot, number};

/// Every histogram is sound, and has as many values as there were events. For an hvsock-top that has been running since
/// before the first connection, with nothing going on.
pub(crate) fn consistent(snapshot: &Snapshot) -> Result<()> {
    let all = snapshot.at("latency").and_then(Value::as_object).context("no latency")?;
    for (name, histogram) in all {
        sound(histogram).with_context(|| format!("the histogram {name}: {histogram}"))?;
    }
    let to_host = snapshot.number("opens/to_host/ok")?;
    let opened = to_host + snapshot.number("opens/from_host/ok")?;
    let accepted: Result<Vec<u64>> =
        snapshot.list("listeners")?.iter().map(|listener| number(listener, "accepted")).collect();
    // AF_HYPERV has no timer for closes.
    let timed_out =
        if Family::current() == Family::AfHyperv { 0 } else { snapshot.number("closes/timed_out")? };
    let wanted = [
        ("connect", to_host),
        ("offer_to_probe", opened),
        ("lookup", opened),
        ("ring_alloc", opened),
        ("host_open", opened),
        ("other_open", opened),
        ("accept_wait", accepted?.iter().sum()),
        ("close", snapshot.number("closes/graceful")? + timed_out),
        ("callback_run", snapshot.number("totals/callbacks")?),
    ];
    for (name, expected) in wanted {
        let got = snapshot.number(&format!("latency/{name}/count"))?;
        ensure!(got == expected, "latency/{name}/count: expected {expected}, as many as events, got {got}");
    }
    Ok(())
}

/// The histograms of the phases tell of the same times as the connections do, of which none may have closed.
pub(crate) fn of_connections(snapshot: &Snapshot) -> Result<()> {
    let connections = snapshot.connections()?;
    let sent_first = |value: &&Value| value["tx"]["bytes"] != 0;
    for (histogram, field) in [
        ("connect", "connect_ns"),
        ("offer_to_probe", "offer_to_probe_ns"),
        ("lookup", "lookup_ns"),
        ("ring_alloc", "ring_alloc_ns"),
        ("host_open", "host_open_ns"),
        ("other_open", "other_open_ns"),
        ("accept_wait", "accept_wait_ns"),
        ("first_byte_tx", "first_byte_ns"),
        ("first_byte_rx", "first_byte_ns"),
    ] {
        let these = connections.iter().filter(|value| match histogram {
            "first_byte_tx" => sent_first(value),
            "first_byte_rx" => !sent_first(value),
            _ => true,
        });
        let mut times: Vec<u64> = these.filter_map(|value| value["latency"][field].as_u64()).collect();
        times.sort_unstable();
        let told = snapshot.at(&format!("latency/{histogram}")).context("not there")?;
        tells(told, &times).with_context(|| format!("the histogram {histogram} of {times:?}: {told}"))?;
    }
    Ok(())
}

/// A histogram of these times, in order.
fn tells(histogram: &Value, times: &[u64]) -> Result<()> {
    ensure!(number(histogram, "count")? == times.len() as u64, "another count");
    let (Some(min), Some(max)) = (times.first(), times.last()) else { return Ok(()) };
    let exact = [("min_ns", *min), ("max_ns", *max), ("sum_ns", times.iter().sum())];
    for (name, expected) in exact {
        ensure!(number(histogram, name)? == expected, "{name}: expected {expected}");
    }
    for (name, parts) in [("p50_ns", 500), ("p90_ns", 900), ("p99_ns", 990), ("p999_ns", 999)] {
        let exact = times[(times.len() * parts).div_ceil(1000) - 1];
        let got = number(histogram, name)?;
        // The end of the bucket that it is in, which is at most a sixteenth wide.
        ensure!(exact <= got && got <= (exact + exact / 16).min(*max), "{name}: expected {exact}, got {got}");
    }
    Ok(())
}

/// The counts of the buckets add up, and what is told of the values is in order.
fn sound(histogram: &Value) -> Result<()> {
    let count = number(histogram, "count")?;
    let buckets = histogram["buckets"].as_array().context("no buckets")?;
    let mut total = 0;
    let mut last = None;
    for bucket in buckets {
        let (upper, n) = (number(bucket, "0")?, number(bucket, "1")?);
        ensure!(n > 0 && last < Some(upper), "buckets are empty or out of order");
        last = Some(upper);
        total += n;
    }
    ensure!(total == count, "the buckets have {total} of {count} values");
    if count == 0 {
        ensure!(histogram["min_ns"].is_null() && histogram["p50_ns"].is_null(), "a value of none");
        return Ok(());
    }
    let names = ["min_ns", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"];
    let values: Vec<u64> = names.iter().map(|name| number(histogram, name)).collect::<Result<_>>()?;
    ensure!(values.is_sorted(), "the percentiles are out of order");
    let (min, max, sum) = (values[0], values[5], number(histogram, "sum_ns")?);
    ensure!(min * count <= sum && sum <= max * count, "the sum is not one of {count} values");
    ensure!(last >= Some(max), "the largest value lies outside of its bucket");
    Ok(())
}
