//! The report as one HTML page that needs nothing else: tables, drawings, and what they mean in words.

mod experiment;
mod verdict;
mod words;

use std::fmt::{self, Write as _};

use super::{
    experiment::ExperimentReport,
    lab::{Cache, Kind, LabReport, Structure},
    live::LiveReport,
    plot,
};
use words::{count, escaped, known, range, share, time};

/// What there is to report on.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// What the laboratory found, which is always there.
    pub lab: &'a LabReport,
    /// What `lookup live` said on a guest, if it was asked.
    pub live: Option<&'a LiveReport>,
    /// What came out of the experiment with the sockets themselves, if it is given.
    pub experiment: Option<&'a ExperimentReport>,
}

/// Looks of the page.
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:1140px;margin:2em auto;padding:0 1em;color:#222}\
    table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;border-bottom:1px solid #ddd;text-align:right}\
    th:first-child,td:first-child{text-align:left}svg{max-width:100%;height:auto}.warn{background:#fde9d9;padding:.6em 1em}\
    blockquote{border-left:4px solid #ccc;margin-left:0;padding-left:1em;color:#444}";

/// The page.
pub fn html(measured: Measured<'_>) -> Result<String, String> {
    let drawing = plot::lab(measured.lab)?;
    let sockets = measured.experiment.map(plot::experiment).transpose()?;
    let mut out = String::new();
    write(&mut out, measured, &drawing, sockets.as_deref()).map_err(|error| error.to_string())?;
    Ok(out)
}

fn write(out: &mut String, measured: Measured<'_>, drawing: &str, sockets: Option<&str>) -> fmt::Result {
    let Measured { lab, live, experiment } = measured;
    let machine = &lab.machine;
    let name = |text: &Option<String>| escaped(text.as_deref().unwrap_or("unknown"));
    writeln!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>What finding a socket costs</title>\
         <style>{STYLE}</style></head><body>\n<h1>What finding a socket costs</h1>\n\
         <blockquote>How does this work from performance point of view if there are many connected sockets and/or high frequency of \
         new connections? AFAICS most other families use a hash table for socket lookup.</blockquote>\n\
         <p>Three things are measured. The <em>laboratory</em> builds such structures and walks them in the kernel of one machine ({}, Linux {}; {}), in time. The \
         <em>experiment</em> puts them into real sockets, over a simulated host, and counts instructions. <em>Live</em> watches opens on a guest. A channel is \
         <em>taken back</em> when the host, told that the guest has closed it, rescinds it.</p>",
        name(&machine.cpu),
        name(&machine.kernel),
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
    for sentence in verdict::verdict(measured) {
        writeln!(out, "<p>{}</p>", escaped(&sentence))?;
    }
    writeln!(out, "<h2>Cost against the number of sockets</h2>\n{drawing}")?;
    for (kind, cache, title) in [
        (Kind::Hit, Cache::Warm, "A socket at random, caches warm"),
        (Kind::Hit, Cache::Cold, "A socket at random, caches cold"),
        (Kind::Worst, Cache::Warm, "The socket that takes longest, caches warm"),
        (Kind::Worst, Cache::Cold, "The socket that takes longest, caches cold"),
        (Kind::Miss, Cache::Warm, "A socket that is not there, caches warm"),
    ] {
        table(out, lab, kind, cache, title)?;
    }
    rates(out, lab)?;
    opens(out, live)?;
    experiment::section(out, experiment, sockets)?;
    writeln!(
        out,
        "<h2>How far to trust this</h2>\n<p>{} lookups visited {} nodes, {}. Subtracted: {:.1} ns for a lookup that does not walk, {:.1} ns for each \
         further run of a program. Ranges are quartiles of {} rounds; seed {}. What differs by less than \
         they are wide is noise, above all where sockets no longer fit the caches. Nobody else took a lock, and nothing was inserted meanwhile.</p>\n</body></html>",
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

fn table(out: &mut String, lab: &LabReport, kind: Kind, cache: Cache, title: &str) -> fmt::Result {
    writeln!(out, "<h3>{title}</h3>\n<table><tr><th>sockets</th>")?;
    for structure in Structure::ALL {
        writeln!(out, "<th>{}</th>", structure.label())?;
    }
    writeln!(out, "</tr>")?;
    for size in sizes(lab) {
        write!(out, "<tr><td>{size}</td>")?;
        for structure in Structure::ALL {
            let text = known(lab.cell(structure, size, kind, cache), range);
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
                let rate = known(cell, |cell| count(1e9 / cell.ns.median));
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
    for phase in &live.phases {
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&phase.name),
            known(phase.count, |n| n.to_string()),
            known(phase.p50_ns, |ns| time(ns as f64)),
            known(phase.p99_ns, |ns| time(ns as f64)),
            share(phase.share)
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
                known(table.nodes_per_hit, |nodes| format!("{nodes:.2}"))
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::experiment::Unit;

    #[test]
    fn text_from_outside_is_no_markup() {
        let lab = LabReport {
            machine: super::super::lab::Machine { cpu: Some("<script>".into()), ..Default::default() },
            ..LabReport::default()
        };
        let page = html(Measured { lab: &lab, live: None, experiment: None }).unwrap();
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
        assert!(page.contains("Not complete"), "{page}");
    }

    /// The results that the repository keeps.
    fn kept() -> ExperimentReport {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lookup/experiment-6.12.json");
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    #[test]
    fn the_experiment_is_told_as_it_was_measured() {
        let (lab, mut report) = (LabReport::default(), kept());
        let told = |report: &ExperimentReport| {
            html(Measured { lab: &lab, live: None, experiment: Some(report) }).unwrap()
        };
        let page = told(&report);
        for cell in report.bursts.iter().filter(|c| c.unit == Unit::Instructions && c.run == 1) {
            let rate = format!("<td>{}</td>", count(cell.per_billion));
            assert!(page.contains(&rate), "{rate}");
        }
        for check in &report.checks {
            assert!(page.contains(&format!("<td>{}</td><td>yes</td>", escaped(&check.found))), "{check:?}");
        }
        assert!(!page.contains("<b>NO</b>"), "nothing that was predicted failed");
        report.checks[0].holds = false;
        assert!(told(&report).contains("<b>NO</b>"));
        let decided = |report: &ExperimentReport| {
            let said = verdict::verdict(Measured { lab: &lab, live: None, experiment: Some(report) });
            said.iter().any(|sentence| sentence.starts_with("In short"))
        };
        assert!(decided(&report));
        report.opens.clear();
        assert!(!decided(&report), "where nothing was opened nothing can be decided");
    }

    #[test]
    fn what_was_not_given_is_not_measured() {
        let page = html(Measured { lab: &LabReport::default(), live: None, experiment: None }).unwrap();
        assert!(page.contains("--experiment"), "{page}");
    }
}
