//! What is observed and how, what became of every event, and what watching costs.

use ratatui::{buffer::Buffer, layout::Rect};

use super::{below, table, waiting};
use crate::{
    model::{Probe, ProbeState, Snapshot},
    tui::{
        action::View,
        app::App,
        derive::Trust,
        format, rows,
        theme::Role,
        widgets::{
            grid::{Cell, Column, Grid},
            line::Line,
        },
        words,
    },
};

const COLUMNS: &[Column] = &[
    Column::text("EVENT", 15, 22, 0),
    Column::text("BACKEND", 10, 10, 0),
    Column::text("STATE", 11, 11, 0),
    Column::number("SEEN", 8, 0),
    Column::number("RECORDED", 8, 3),
    Column::number("FILTERED", 8, 4),
    Column::number("LOST", 6, 0),
    Column::number("MISSED", 6, 0),
    Column::number("FAULTED", 7, 5),
    Column::number("UNPAIRED", 8, 5),
    Column::number("IN FLIGHT", 9, 6),
    Column::text("NEEDED", 6, 6, 6),
    Column::text("FUNCTION", 20, 32, 7),
    Column::text("WHY", 10, 120, 2),
];

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let Some(snapshot) = app.picture().snapshot.clone() else { return waiting(app, area, buffer) };
    let trust = Trust::of(&snapshot);
    if let Some(mut line) = Line::of(buffer, area, 0) {
        let (text, role) = if trust.reconciled {
            let told = match trust.silent {
                0 => String::new(),
                n => format!(" Of {n} probes the kernel does not say what it did not deliver."),
            };
            (format!("All {} events are accounted for.{told}", format::count(trust.seen)), Role::Good)
        } else {
            let missed: Vec<_> = trust.missed.iter().map(|(name, n)| format!("{n} at {name}")).collect();
            let of = format::count(trust.seen);
            (format!("Accounting does not add up: of {of} events missed {}", missed.join(", ")), Role::Bad)
        };
        line.put(text, theme.style(role));
        if trust.off > 0 {
            line.put(
                format!("  {} of {} probes are off", trust.off, snapshot.probes.len()),
                theme.style(Role::Warn),
            );
        }
    }
    if let Some(mut line) = Line::of(buffer, area, 1) {
        let dim = theme.style(Role::Dim);
        let cpu = app.picture().rates.cpu;
        let cpu = format::or_dash(cpu, |share| format!("{:.1} % of a CPU", share * 100.0));
        line.put(format!("hvsock-top {} takes ", snapshot.tool.version), dim);
        line.put(cpu, theme.style(Role::Text)).put(" and ", dim);
        line.put(format::or_dash(snapshot.tool.resident_bytes, format::bytes), theme.style(Role::Text));
        line.put("; its programs in the kernel not included", dim);
    }
    let probes = rows::probes(&snapshot);
    let selected = app.selection().and_then(|key| probes.iter().position(|p| p.event == key));
    let grid =
        Grid { columns: COLUMNS, sorted: None, rows: probes.len(), selected, first: 0, empty: "no probes" };
    let list = below(area, 3);
    table(
        app,
        View::Probes,
        list,
        buffer,
        grid,
        |_| false,
        |row, column| cell(&snapshot, probes[row], column),
    );
}

fn cell(snapshot: &Snapshot, probe: &Probe, column: usize) -> Cell {
    let hook = snapshot.accounting.hooks.get(&probe.event);
    let number = |get: fn(&crate::model::Hook) -> Option<u64>| Cell::known(hook.and_then(get), format::count);
    let role = match probe.state {
        ProbeState::Active => Role::Good,
        ProbeState::Denied => Role::Warn,
        _ if probe.required => Role::Bad,
        _ => Role::Warn,
    };
    match column {
        0 => Cell::new(probe.event.clone()),
        1 => Cell::new(words::backend(probe.backend)),
        2 => Cell::with(words::probe_state(probe.state), role),
        3 => number(|h| Some(h.seen)),
        4 => number(|h| Some(h.recorded)),
        5 => number(|h| Some(h.filtered)),
        6 => Cell::alarm(hook.map(|h| h.ring_full.saturating_add(h.map_full)), Role::Bad),
        7 => Cell::alarm(hook.and_then(|h| h.missed), Role::Bad),
        8 => Cell::alarm(hook.map(|h| h.faulted), Role::Warn),
        9 => Cell::alarm(hook.map(|h| h.unpaired), Role::Bad),
        10 => number(|h| h.in_flight),
        11 => Cell::with(if probe.required { "yes" } else { "no" }, Role::Dim),
        12 => Cell::with(probe.symbol.clone().unwrap_or_default(), Role::Dim),
        _ => Cell::with(probe.reason.clone().unwrap_or_default(), Role::Dim),
    }
}
