//! What `hvsock-top lookup` says to people.

use std::fmt::{self, Write as _};

use crate::lookup::lab::{Cache, Fit, Kind, LabReport, Shape, Structure};

/// Columns of sizes that fit beside the names.
const COLUMNS: usize = 8;

/// The report of the laboratory.
pub(super) fn lab(report: &LabReport) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_lab(&mut out, report);
    out
}

fn write_lab(out: &mut String, report: &LabReport) -> fmt::Result {
    let machine = &report.machine;
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    if let Some(signal) = &report.stopped_by {
        writeln!(out, "NOT COMPLETE: stopped by {signal}\n")?;
    }
    writeln!(out, "Linux {}, {}", known(&machine.kernel), known(&machine.cpu))?;
    writeln!(
        out,
        "clock {} (steps of {} ns); BPF programs {}; caches emptied by {}",
        known(&machine.clocksource),
        machine.clock_step_ns,
        match machine.jit {
            Some(true) => "compiled",
            Some(false) => "INTERPRETED: all times are many times too long",
            None => "compiled or interpreted: unknown",
        },
        machine.cold_by
    )?;
    writeln!(
        out,
        "sockets of {} bytes, scattered over {} MB; {} rounds; seed {}",
        report.node_bytes,
        report.memory_bytes / 1_000_000,
        report.fixed.single_ns.rounds,
        report.seed
    )?;
    writeln!(
        out,
        "subtracted: {:.1} ns for a lookup that does not walk, {:.1} ns for each further run of a program\n",
        report.fixed.single_ns.median, report.fixed.further_ns.median
    )?;
    let mut sizes: Vec<u32> = report.cells.iter().map(|cell| cell.sockets).collect();
    sizes.dedup();
    // Of many sizes, those that are furthest apart.
    let step = sizes.len().div_ceil(COLUMNS).max(1);
    let mut columns: Vec<u32> = sizes.iter().rev().copied().step_by(step).collect();
    columns.reverse();
    for (kind, cache, title) in [
        (Kind::Hit, Cache::Warm, "a socket at random, caches warm"),
        (Kind::Hit, Cache::Cold, "a socket at random, caches cold"),
        (Kind::Worst, Cache::Warm, "the socket that takes longest, caches warm"),
        (Kind::Miss, Cache::Warm, "a socket that is not there, caches warm"),
    ] {
        table(out, report, &columns, (kind, cache), title)?;
    }
    checks(out, report)
}

fn table(
    out: &mut String,
    report: &LabReport,
    columns: &[u32],
    (kind, cache): (Kind, Cache),
    title: &str,
) -> fmt::Result {
    writeln!(out, "{title}: nanoseconds per lookup, median")?;
    write!(out, "  {:<18}", "sockets")?;
    for size in columns {
        write!(out, " {size:>8}")?;
    }
    writeln!(out, "   nodes grow")?;
    for structure in Structure::ALL {
        write!(out, "  {:<18}", structure.label())?;
        for size in columns {
            let cell = report.cell(structure, *size, kind, cache);
            write!(out, " {:>8}", cell.map_or_else(|| "–".to_owned(), |cell| short(cell.ns.median)))?;
        }
        let fit = report.fits.iter().find(|f| f.structure == structure && f.kind == kind && f.cache == cache);
        writeln!(out, "   {}", fit.map_or_else(|| "–".to_owned(), growth))?;
    }
    writeln!(out)
}

fn growth(fit: &Fit) -> String {
    let line = format!("{:.3} ± {:.3} ns a socket", fit.per_socket_ns, fit.per_socket_error_ns);
    match fit.shape {
        Shape::Constant => "not".to_owned(),
        Shape::Linear => format!("linearly, {line}"),
        Shape::LinearSlow => format!("slowly, {line}"),
        Shape::Unclear => format!("unclear, {line}"),
    }
}

fn checks(out: &mut String, report: &LabReport) -> fmt::Result {
    let nodes: u64 = report.cells.iter().map(|cell| cell.nodes.visited).sum();
    let lookups: u64 = report.cells.iter().map(|cell| cell.nodes.lookups).sum();
    if report.is_exact() {
        writeln!(out, "nodes visited: {nodes} in {lookups} lookups, every batch exactly as theory says")?;
    } else {
        writeln!(out, "nodes visited: NOT what theory says; the times above mean nothing")?;
    }
    let furthest = report.cells.iter().filter_map(|cell| cell.nodes.z).fold(0.0, |a: f64, z| a.max(z.abs()));
    // Where every lookup visits as many, the formula leaves no room for chance.
    let away = if furthest < 1e6 {
        format!("at most {furthest:.1} standard errors away")
    } else {
        "NOT as they say".to_owned()
    };
    writeln!(out, "mean nodes against the formulas ((N+1)/2, 1+(N-1)/2B, …): {away}")?;
    let user = |structure: Structure| {
        let cell = report
            .cells
            .iter()
            .rev()
            .find(|c| c.structure == structure && c.kind == Kind::Hit && c.cache == Cache::Warm)?;
        Some((cell.sockets, cell.ns.median, cell.user?.ns.median))
    };
    if let Some((sockets, kernel, user)) = user(Structure::ListByGuid) {
        writeln!(
            out,
            "cross-check, list by GUID, {sockets} sockets, warm: {} ns in the kernel, {} ns with plain pointers in user space",
            short(kernel),
            short(user)
        )?;
    }
    Ok(())
}

/// Three digits, and none after the point where the measurement has none.
fn short(ns: f64) -> String {
    if ns.abs() < 9.95 { format!("{ns:.1}") } else { format!("{ns:.0}") }
}
