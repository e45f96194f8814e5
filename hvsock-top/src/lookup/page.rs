//! The report as one HTML page that needs nothing else: tables, drawings, and what they mean in words.

use std::fmt::{self, Write as _};

use super::{
    lab::{Cache, Cell, Kind, LabReport, Structure},
    live::LiveReport,
    plot,
};

/// Channels a VMBus can have: more sockets cannot be connected.
const VMBUS: u32 = 2048;

/// Looks of the page.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:1140px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}\
    th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}.warn{background:#fde9d9;padding:.6em 1em}\
    blockquote{border-left:4px solid #ccc;margin-left:0;padding-left:1em;color:#444}";

/// The page. `live` is what `lookup live` said on a guest, if it was asked.
pub fn html(lab: &LabReport, live: Option<&LiveReport>) -> Result<String, String> {
    let drawing = plot::lab(lab)?;
    let mut out = String::new();
    write(&mut out, lab, live, &drawing).map_err(|error| error.to_string())?;
    Ok(out)
}

fn write(out: &mut String, lab: &LabReport, live: Option<&LiveReport>, drawing: &str) -> fmt::Result {
    let machine = &lab.machine;
    let known = |text: &Option<String>| escaped(text.as_deref().unwrap_or("unknown"));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>What finding a socket costs</title>\
         <style>{STYLE}</style></head><body>\n<h1>What finding a socket costs</h1>\n\
         <blockquote>How does this work from performance point of view if there are many connected sockets and/or high frequency of \
         new connections? AFAICS most other families use a hash table for socket lookup.</blockquote>\n\
         <p>Linux {}, {}; {}.</p>",
        known(&machine.kernel),
        known(&machine.cpu),
        escaped(&lab.time)
    )?;
    if !lab.complete {
        let by = escaped(lab.stopped_by.as_deref().unwrap_or("something"));
        writeln!(out, "<p class=\"warn\">Not complete: the laboratory was stopped by {by}.</p>")?;
    }
    if !lab.is_exact() {
        writeln!(
            out,
            "<p class=\"warn\">Lookups did not visit the nodes that theory says: no time here means anything.</p>"
        )?;
    }
    if machine.jit == Some(false) {
        writeln!(
            out,
            "<p class=\"warn\">BPF programs are interpreted on this machine: all times are many times too long.</p>"
        )?;
    }
    writeln!(out, "<h2>Verdict</h2>")?;
    for sentence in verdict(lab, live) {
        writeln!(out, "<p>{}</p>", escaped(&sentence))?;
    }
    writeln!(out, "<h2>Cost against the number of sockets</h2>\n{drawing}")?;
    for (kind, cache, title) in [
        (Kind::Hit, Cache::Warm, "A socket at random, caches warm"),
        (Kind::Hit, Cache::Cold, "A socket at random, caches cold"),
        (Kind::Worst, Cache::Warm, "The socket that takes longest, caches warm"),
        (Kind::Miss, Cache::Warm, "A socket that is not there, caches warm"),
    ] {
        table(out, lab, kind, cache, title)?;
    }
    rates(out, lab)?;
    opens(out, live)?;
    writeln!(
        out,
        "<h2>How far to trust this</h2>\n<p>{} lookups visited {} nodes, {}. Subtracted: {:.1} ns for a lookup that does not walk, {:.1} ns for each \
         further run of a program. Ranges are quartiles of {} rounds; seed {}. Nobody else took a lock, and nothing was inserted meanwhile. The AF_HYPERV \
         family itself was not run for this page.</p>\n</body></html>",
        lab.cells.iter().map(|cell| cell.nodes.lookups).sum::<u64>(),
        lab.cells.iter().map(|cell| cell.nodes.visited).sum::<u64>(),
        if lab.is_exact() { "in every batch exactly those of theory" } else { "NOT those of theory" },
        lab.fixed.single_ns.median,
        lab.fixed.further_ns.median,
        lab.fixed.single_ns.rounds,
        lab.seed
    )
}

/// The sizes that were measured.
fn sizes(lab: &LabReport) -> Vec<u32> {
    let mut sizes: Vec<u32> = lab.cells.iter().map(|cell| cell.sockets).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes
}

/// In plain words, with the uncertainty.
fn verdict(lab: &LabReport, live: Option<&LiveReport>) -> Vec<String> {
    // A VMBus has no more connections; what was measured nearest to it.
    let Some(size) = sizes(lab).into_iter().rev().find(|n| *n <= VMBUS) else {
        return vec!["Nothing was measured at a number of sockets that a guest can have.".into()];
    };
    let hit = |structure, cache| lab.cell(structure, size, Kind::Hit, cache);
    let mut said = Vec::new();
    if let (Some(list), Some(hash), Some(pointer)) = (
        hit(Structure::ListByGuid, Cache::Warm),
        hit(Structure::Hash251, Cache::Warm),
        hit(Structure::Pointer, Cache::Warm),
    ) {
        said.push(format!(
            "Among {size} sockets, with warm caches, the patch's list finds one in {}, vsock's 251 buckets in {}, a pointer in {}.",
            range(list),
            range(hash),
            range(pointer)
        ));
    }
    if let Some(cold) = hit(Structure::ListByGuid, Cache::Cold) {
        said.push(format!(
            "With cold caches, which is more like an open now and then, the list takes {}.",
            range(cold)
        ));
    }
    let lookup = live.and_then(|live| live.phases.iter().find(|phase| phase.name == "lookup"));
    match lookup.map(|phase| (phase.share, phase.p50_ns, phase.count)) {
        Some((Some(share), Some(median), Some(count))) => {
            said.push(format!(
                "In the opens that were watched ({count}), finding the listener took {} (median), {:.2} % of the time; the probe's own time is in it, \
                 so it is no more than this.",
                time(median as f64),
                100.0 * share
            ));
            said.push(if share < 0.05 {
                "On this guest a better lookup structure would not be noticed: the time of an open goes elsewhere.".into()
            } else {
                "On this guest the lookup is a part of an open that can be noticed.".into()
            });
        }
        _ => said.push("What share of an open that is was not measured: give a report of `hvsock-top lookup live --json` from a guest.".into()),
    }
    said.push(
        "The patch searched on open and when a channel was taken back, never for data, so that none of this is paid per packet; and it held its one \
         mutex over the host's round trip too, which no lookup structure changes."
            .into(),
    );
    said
}

fn table(out: &mut String, lab: &LabReport, kind: Kind, cache: Cache, title: &str) -> fmt::Result {
    writeln!(out, "<h3>{title}</h3>\n<table><tr><th>sockets</th>")?;
    for structure in Structure::ALL {
        writeln!(out, "<th>{}</th>", structure.label())?;
    }
    writeln!(out, "</tr>")?;
    for size in sizes(lab) {
        write!(out, "<tr><td>{size}</td>")?;
        for structure in Structure::ALL {
            let text = lab.cell(structure, size, kind, cache).map_or_else(|| "–".to_owned(), range);
            write!(out, "<td>{text}</td>")?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>")
}

/// When the lists would take a whole CPU.
fn rates(out: &mut String, lab: &LabReport) -> fmt::Result {
    writeln!(
        out,
        "<h2>When a list takes a whole CPU</h2>\n<p>So many opens a second (by GUID, among bound sockets) or rescinds a second (by channel, among connected \
         ones) keep one CPU busy with nothing but the walk; caches warm, and cold.</p>\n\
         <table><tr><th>sockets</th><th>opens/s, warm</th><th>cold</th><th>rescinds/s, warm</th><th>cold</th></tr>"
    )?;
    for size in sizes(lab) {
        write!(out, "<tr><td>{size}</td>")?;
        for structure in [Structure::ListByGuid, Structure::ListByChannel] {
            for cache in Cache::ALL {
                let cell = lab.cell(structure, size, Kind::Hit, cache).filter(|cell| cell.ns.median >= 1.0);
                let rate = cell.map_or_else(|| "–".to_owned(), |cell| count(1e9 / cell.ns.median));
                write!(out, "<td>{rate}</td>")?;
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</table>")
}

/// The parts of an open.
fn opens(out: &mut String, live: Option<&LiveReport>) -> fmt::Result {
    writeln!(out, "<h2>The lookup within an open</h2>")?;
    let Some(live) = live else {
        return writeln!(out, "<p>Not measured.</p>");
    };
    writeln!(
        out,
        "<p>Linux {}, {}, watched for {:.1} s.</p>\n<table><tr><th>phase</th><th>count</th><th>median</th><th>99 %</th><th>share</th></tr>",
        escaped(&live.kernel),
        escaped(&live.time),
        live.observed_ns as f64 / 1e9
    )?;
    let known = |value: Option<String>| value.unwrap_or_else(|| "–".to_owned());
    for phase in &live.phases {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&phase.name),
            known(phase.count.map(|n| n.to_string())),
            known(phase.p50_ns.map(|ns| time(ns as f64))),
            known(phase.p99_ns.map(|ns| time(ns as f64))),
            known(phase.share.map(|share| format!("{:.2} %", 100.0 * share)))
        )?;
    }
    writeln!(out, "</table>")?;
    if let Some(tables) = &live.tables {
        for (name, table) in [("Bound", &tables.bound), ("Connected", &tables.connected)] {
            writeln!(
                out,
                "<p>{name} sockets: {}, longest chain {}, {} looked at to find one.</p>",
                table.sockets,
                table.longest,
                known(table.nodes_per_hit.map(|nodes| format!("{nodes:.2}")))
            )?;
        }
    }
    Ok(())
}

/// Median and quartiles.
fn range(cell: &Cell) -> String {
    let spread = &cell.ns;
    format!("{} ({}–{})", time(spread.median), time(spread.p25), time(spread.p75))
}

fn time(ns: f64) -> String {
    match ns {
        ns if ns < 9.95 => format!("{ns:.1} ns"),
        ns if ns < 9950.0 => format!("{ns:.0} ns"),
        ns if ns < 9.95e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.1} ms", ns / 1e6),
    }
}

/// A large number, as far as it is known.
fn count(n: f64) -> String {
    match n {
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n >= 1e4 => format!("{:.0},000", n / 1e3),
        n => format!("{n:.0}"),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_is_no_markup() {
        let lab = LabReport {
            machine: super::super::lab::Machine { cpu: Some("<script>".into()), ..Default::default() },
            ..LabReport::default()
        };
        let page = html(&lab, None).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        assert!(page.contains("Not complete"), "{page}");
    }

    #[test]
    fn numbers_are_told_as_far_as_they_are_known() {
        assert_eq!([3.21, 812.4, 12_345.0, 1.3e7].map(time), ["3.2 ns", "812 ns", "12.3 µs", "13.0 ms"]);
        assert_eq!([12.4, 45_678.0, 2.5e8].map(count), ["12", "46,000", "250.0 million"]);
    }
}
