//! The latency histograms against the counters of the same Snapshot: every event of a kind has been timed, once.

use anyhow::{Context as _, Result, ensure};
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
    let wanted = [
        ("connect", to_host),
        ("offer_to_probe", opened),
        ("lookup", opened),
        ("ring_alloc", opened),
        ("host_open", opened),
        ("other_open", opened),
        ("accept_wait", accepted?.iter().sum()),
        ("close", snapshot.number("closes/graceful")? + snapshot.number("closes/timed_out")?),
        ("callback_run", snapshot.number("totals/callbacks")?),
    ];
    for (name, expected) in wanted {
        let got = snapshot.number(&format!("latency/{name}/count"))?;
        ensure!(got == expected, "latency/{name}/count: expected {expected}, as many as events, got {got}");
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
