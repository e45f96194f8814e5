//! What `hvsock-top lookup live` says to people.

use std::fmt::{self, Write as _};

use crate::{
    lookup::live::{LiveReport, Table},
    model::Family,
};

/// The report on the running kernel.
pub(super) fn live(report: &LiveReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_live(&mut out, report);
    out
}

fn write_live(out: &mut String, report: &LiveReport) -> fmt::Result {
    writeln!(out, "Linux {}, {}\n", report.kernel, report.time)?;
    let of_2016 = report.family == Some(Family::AfHyperv);
    let whose = if of_2016 { "AF_HYPERV" } else { "vsock" };
    if let Some(tables) = &report.tables {
        writeln!(out, "{whose}'s tables, 251 buckets each")?;
        table(out, "bound", &tables.bound)?;
        table(out, "connected", &tables.connected)?;
        if of_2016 {
            writeln!(
                out,
                "  Each open and bind searches the bound sockets, each rescind the connected ones. With lookup=list all are in one\n  \
                 bucket; with lookup=pointer the connected ones are not searched.\n"
            )?;
        } else {
            writeln!(out, "  not bound  {} sockets, which nobody searches", known(tables.unbound))?;
            writeln!(
                out,
                "  An open from the host searches one bucket of the bound sockets (port % 251). hv_sock never searches the\n  \
                 connected ones: all that one listener accepted share a bucket there, which costs it nothing.\n"
            )?;
        }
    } else {
        let why = report.tables_unread.as_deref().unwrap_or("unknown");
        writeln!(out, "{whose}'s tables cannot be read: {why}\n")?;
    }
    writeln!(
        out,
        "opens in {:.1} s: {} lookups, {} a second",
        report.observed_ns as f64 / 1e9,
        known(report.lookups),
        known(report.lookups_per_second.map(|rate| format!("{rate:.1}")))
    )?;
    writeln!(out, "  {:<16} {:>8} {:>12} {:>12} {:>8}", "phase", "count", "median", "99 %", "share")?;
    for phase in &report.phases {
        writeln!(
            out,
            "  {:<16} {:>8} {:>12} {:>12} {:>8}",
            phase.name,
            known(phase.count),
            known(phase.p50_ns.map(time)),
            known(phase.p99_ns.map(time)),
            known(phase.share.map(|share| format!("{:.1} %", 100.0 * share)))
        )?;
    }
    writeln!(
        out,
        "\nstill linear: each offer is compared with every channel ({} VMBus devices now), and one worker opens them all. Both are in\n\
         offer_to_probe, {} of the opens' time; the comparison itself cannot be seen, because the compiler puts it into its caller.\n\
         The time of a lookup contains that of the probe around it, which is about as long: it is no more than this.",
        known(report.scan.channels),
        known(report.scan.offer_to_probe_share.map(|share| format!("{:.1} %", 100.0 * share)))
    )?;
    for unseen in &report.unseen {
        writeln!(out, "not seen: {unseen}")?;
    }
    Ok(())
}

fn table(out: &mut String, name: &str, table: &Table) -> fmt::Result {
    write!(
        out,
        "  {name:<10} {} sockets in {} buckets, longest chain {}, mean {}; {} looked at to find one",
        table.sockets,
        251 - table.empty_buckets - table.unread() as u64,
        table.longest,
        known(table.mean.map(|mean| format!("{mean:.2}"))),
        known(table.nodes_per_hit.map(|nodes| format!("{nodes:.2}")))
    )?;
    match table.unread() {
        0 => writeln!(out),
        unread => writeln!(out, "; {unread} buckets kept changing and are not counted"),
    }
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{:.1} µs", ns as f64 / 1e3),
        _ => format!("{:.1} ms", ns as f64 / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_that_suit_them() {
        assert_eq!([900, 50_000, 20_000_000].map(time), ["900 ns", "50.0 µs", "20.0 ms"]);
    }
}
