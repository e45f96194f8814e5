//! The experiment: what was measured in the sockets themselves.

use std::fmt::{self, Write as _};

use super::words::{count, escaped, known, share};
use crate::lookup::experiment::{Direction, ExperimentReport, Line, Measure, OpenCell, Unit, Variant};

/// All of it, or that there is none.
pub(super) fn section(
    out: &mut String,
    report: Option<&ExperimentReport>,
    drawing: Option<&str>,
) -> fmt::Result {
    writeln!(out, "<h2>In the sockets themselves</h2>")?;
    let (Some(report), Some(drawing)) = (report, drawing) else {
        return writeln!(
            out,
            "<p>Not measured for this page: give the results of the experiment with --experiment. The repository has some.</p>"
        );
    };
    let quick = if report.heading.quick { " This is its quick form, with few and small cells." } else { "" };
    writeln!(
        out,
        "<p>Linux {}; {}; made by <code>{}</code>.{quick} AF_HYPERV is the family of the patch as a module, over the kernel's own VMBus driver, with a \
         simulated host; list, hash and pointer differ in the lookup alone. The idle connections are the guest's: in the patch each of them stays among the bound sockets, too. The host's own work is done in the \
         guest, too: it is in the whole life. Costs are instructions of the guest: they repeat, but know nothing of caches, which the laboratory above does. The probes' own cost is in the lookup of an open, some 430, and in the open; it is not in all lookups, which the module counts itself.</p>\n{drawing}",
        escaped(&report.heading.kernel),
        escaped(&report.time),
        escaped(&report.heading.command),
    )?;
    for direction in [Direction::FromHost, Direction::ToHost] {
        lives(out, report, direction)?;
    }
    growth(out, report)?;
    rates(out, report)?;
    waits(out, report)?;
    checks(out, report)
}

/// What a direction is called.
fn opened_by(direction: Direction) -> &'static str {
    match direction {
        Direction::FromHost => "the host",
        Direction::ToHost => "the guest",
    }
}

fn nodes(walk: Option<f64>) -> String {
    known(walk, |nodes| format!("{nodes:.1}"))
}

fn lives(out: &mut String, report: &ExperimentReport, direction: Direction) -> fmt::Result {
    let cells: Vec<&OpenCell> = report
        .opens
        .iter()
        .filter(|c| (c.unit, c.direction, c.run) == (Unit::Instructions, direction, 1))
        .collect();
    if cells.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h3>Connections opened by {}, one after the other</h3>\n<table><tr><th>sockets</th><th>idle</th><th>services</th><th>opens</th>\
         <th>compared per lookup</th><th>lookup of the open</th><th>open</th><th>share</th><th>compared when taken back</th><th>all lookups</th><th>whole \
         life</th></tr>",
        opened_by(direction)
    )?;
    for cell in cells {
        let lookup = cell.phase("lookup");
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cell.variant.label(),
            cell.idle,
            cell.services,
            cell.opens,
            nodes(cell.bound.nodes_per_lookup()),
            known(lookup.and_then(|phase| phase.cost.mean), count),
            known(lookup.and_then(|phase| Some(phase.cost.mean? / phase.share.filter(|s| *s > 0.0)?)), count),
            share(lookup.and_then(|phase| phase.share)),
            nodes(cell.connected.nodes_per_lookup()),
            known(lookups(cell), count),
            known(cell.life.median.map(|n| n as f64), count),
        )?;
    }
    writeln!(out, "</table>")?;
    if direction == Direction::ToHost {
        writeln!(
            out,
            "<p>Two lookups of bound sockets each, whose mean is shown: connect() looks for a free name and goes past all, the open finds its own socket, which \
             in the list is the first.</p>"
        )?;
    }
    Ok(())
}

/// What all lookups of a connection's life cost, by the module's clock. `None` for hv_sock, which has none.
fn lookups(cell: &OpenCell) -> Option<f64> {
    Some((cell.bound.cost? + cell.connected.cost?) as f64 / f64::from(cell.opens.max(1)))
}

fn growth(out: &mut String, report: &ExperimentReport) -> fmt::Result {
    writeln!(
        out,
        "<h3>How it grows</h3>\n<p>Straight lines through the cells, with standard errors, in instructions.</p>\n\
         <table><tr><th>sockets</th><th>what</th><th>with none</th><th>for each one more</th></tr>"
    )?;
    for (over, measure, name) in [
        (Line::Idle, Measure::LookupPhase, "lookup of an open from the host, by idle connections"),
        (Line::Services, Measure::LookupPhase, "the same, by services"),
        (Line::Idle, Measure::ConnectedCost, "lookup of a channel taken back, by idle connections"),
        (Line::Idle, Measure::OfferToProbe, "from the offer to the probe, by idle connections"),
        (Line::Idle, Measure::Life, "whole life, by idle connections"),
    ] {
        for variant in Variant::ALL {
            let Some(g) = report.growth(variant, Unit::Instructions, Direction::FromHost, over, measure)
            else {
                continue;
            };
            writeln!(
                out,
                "<tr><td>{}</td><td>{name}</td><td>{:.0} ± {:.0}</td><td>{:.2} ± {:.2}</td></tr>",
                variant.label(),
                g.constant,
                g.constant_error,
                g.per_socket,
                g.per_socket_error
            )?;
        }
    }
    writeln!(out, "</table>")
}

fn rates(out: &mut String, report: &ExperimentReport) -> fmt::Result {
    let cells: Vec<_> = report.bursts.iter().filter(|c| (c.unit, c.run) == (Unit::Instructions, 1)).collect();
    if cells.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h3>As many as possible</h3>\n<p>Without probes. Connections per 10⁹ instructions, from the first offer to the last open (what each runs has accept and close in it, too); what the lookups are of all that was run; how long the family's \
         one mutex was waited for, per connection.</p>\n<table><tr><th>sockets</th><th>opened by</th><th>idle</th><th>opens</th><th>per 10⁹</th>\
         <th>each runs</th><th>lookups</th><th>mutex waits</th></tr>"
    )?;
    for cell in cells {
        let wait = cell.mutex.map(|m| m.wait as f64 / f64::from(cell.opens.max(1)));
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cell.variant.label(),
            opened_by(cell.direction),
            cell.idle,
            cell.opens,
            count(cell.per_billion),
            count(cell.life_mean),
            share(cell.lookup_share),
            known(wait, count),
        )?;
    }
    writeln!(out, "</table>")
}

fn waits(out: &mut String, report: &ExperimentReport) -> fmt::Result {
    let cells: Vec<_> =
        report.contention.iter().filter(|c| (c.unit, c.run) == (Unit::Instructions, 1)).collect();
    if cells.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h3>Binding while the host opens connections</h3>\n<p>Instructions of the guest's one CPU: who waits for the mutex, or for the CPU, waits for what others run. \
         hv_sock, which has no such mutex, shows what of it is the CPU.</p>\n<table><tr><th>sockets</th><th>idle</th><th>threads</th><th>host opens</th><th>bind, median</th>\
         <th>99 %</th><th>largest</th><th>mutex: waits of locks</th><th>held in all</th></tr>"
    )?;
    for cell in cells {
        let figure = |n: Option<u64>| known(n.map(|n| n as f64), count);
        writeln!(
            out,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            cell.variant.label(),
            cell.idle,
            cell.threads,
            if cell.opening { format!("{} times", cell.ledger_opens) } else { "no".to_owned() },
            figure(cell.bind.median),
            figure(cell.bind.p99),
            figure(cell.bind.max),
            known(cell.mutex, |m| format!("{} of {}", m.contended, m.locks)),
            figure(cell.mutex.map(|m| m.held)),
        )?;
    }
    writeln!(out, "</table>")
}

/// What theory and the laboratory predict, and what was found.
fn checks(out: &mut String, report: &ExperimentReport) -> fmt::Result {
    writeln!(
        out,
        "<h3>Predicted, and found</h3>\n<p>What is counted must be so in both virtual machines, the one whose clock counts instructions and the one whose clock does not.</p>\n<table><tr><th>predicted</th><th>found</th><th>holds</th></tr>"
    )?;
    for check in &report.checks {
        let holds = if check.holds { "yes" } else { "<b>NO</b>" };
        let (expected, found) = (escaped(&check.expected), escaped(&check.found));
        writeln!(out, "<tr><td>{expected}</td><td>{found}</td><td>{holds}</td></tr>")?;
    }
    writeln!(out, "</table>")
}
