//! What is always there: which guest, how it goes, whether anything was missed; and the views.

use ratatui::{buffer::Buffer, layout::Rect};

use crate::{
    model::Module,
    tui::{
        action::View,
        app::{App, Hit},
        derive::{self, Sum, Trust},
        format, rows,
        theme::Role,
        widgets::line::{Line, width},
        words,
    },
};

pub(super) fn draw(app: &App, area: Rect, buffer: &mut Buffer) {
    guest(app, area, buffer);
    status(app, Rect { y: area.y + 1, height: 1, ..area }, buffer);
    tabs(app, Rect { y: area.y + 2, height: 1, ..area }, buffer);
}

/// The guest, and what one is looking at.
fn guest(app: &App, area: Rect, buffer: &mut Buffer) {
    let style = app.theme.style(Role::Header);
    buffer.set_style(Rect { height: 1, ..area }, style);
    let Some(mut line) = Line::of(buffer, area, 0) else { return };
    let snapshot = app.picture().snapshot.as_deref();
    let time = snapshot.map_or("", |s| format::time_of_day(&s.time));
    let what = match (&app.position, &app.frozen) {
        (Some(position), _) if !position.playing => format!(" REPLAY, PAUSED {time} "),
        (Some(_), _) => format!("  REPLAY {time} "),
        (None, Some(_)) => format!(" FROZEN {time} "),
        (None, None) if app.failed.is_some() => format!(" STOPPED {time} "),
        (None, None) => format!("  every {}  {time} ", interval(app.interval)),
    };
    line.right(&what, style);
    line.put(" hvsock-top ", style);
    let Some(snapshot) = snapshot else { return };
    let host = &snapshot.host;
    // However long the name, the kernel has its place.
    let room = area.width / 4;
    let mut name = host.hostname.clone();
    if width(&name) > room {
        while width(&name) >= room && name.pop().is_some() {}
        name.push('…');
    }
    line.put(" ", style).put(&name, style);
    line.whole(&[("  Linux ", style), (&host.kernel, style)]);
    let vmbus = host.vmbus_version.as_deref().unwrap_or(format::UNKNOWN);
    line.whole(&[("  hv_sock ", style), (words::hv_sock(host.hv_sock), style)]);
    line.whole(&[("  VMBus ", style), (vmbus, style)]);
    line.whole(&[("  ", style), (words::family(host.family), style)]);
    line.whole(&[("  up ", style), (&format::age(snapshot.uptime_ns), style)]);
    if let Some(ns) = snapshot.observed_ns {
        line.whole(&[("  watched ", style), (&format::age(ns), style)]);
    }
}

fn interval(time: std::time::Duration) -> String {
    let ms = time.as_millis();
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

/// How it goes, in one line; the last words say whether anything was missed.
pub(super) fn status(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let (text, dim) = (theme.style(Role::Text), theme.style(Role::Dim));
    let Some(mut line) = Line::of(buffer, area, 0) else { return };
    let picture = app.picture();
    let Some(snapshot) = picture.snapshot.as_deref() else {
        if let Some((what, remedy)) = &app.failed {
            line.put(format!(" {what}: {remedy}"), theme.style(Role::Bad));
        }
        return;
    };
    let (words, role) = trust(snapshot, area.width);
    line.right(&format!("  {words} "), theme.style(role));
    let alive = format::or_dash(snapshot.totals.live_connections, format::count);
    let rate = |rate: Option<f64>| format::or_dash(rate, format::byte_rate);
    line.whole(&[(" conns ", dim), (&alive, text)]);
    line.whole(&[("  tx ", dim), (&rate(picture.rates.tx), theme.style(Role::Tx))]);
    line.whole(&[("  rx ", dim), (&rate(picture.rates.rx), theme.style(Role::Rx))]);
    let lost = |sum: Sum| {
        let role = match sum.value() {
            None => Role::Dim,
            Some(0) => Role::Text,
            Some(_) => Role::Bad,
        };
        (at_least(sum, format::count), theme.style(role))
    };
    let (drops, drops_style) = lost(derive::drops(snapshot));
    line.whole(&[("  drops ", dim), (&drops, drops_style)]);
    let per_second = |rate: Option<f64>| format::or_dash(rate, format::rate);
    line.whole(&[("  opens ", dim), (&per_second(picture.rates.opened), text)]);
    let (failed, failed_style) = lost(derive::failed(snapshot));
    line.whole(&[("  failed ", dim), (&failed, failed_style)]);
    let stalled = derive::stalled(snapshot).map(|n| n as u64);
    let role = if stalled.unwrap_or(0) > 0 { Role::Bad } else { Role::Text };
    line.whole(&[("  stalled ", dim), (&format::or_dash(stalled, format::count), theme.style(role))]);
    let memory = at_least(derive::ring_memory(snapshot), format::bytes);
    line.whole(&[("  ring memory ", dim), (&memory, text)]);
    let relids = format!(
        "{}/{}",
        format::or_dash(snapshot.totals.relids_used, format::count),
        snapshot.totals.relids_max
    );
    line.whole(&[("  channels ", dim), (&relids, text)]);
}

/// A sum of which a part is unknown may be larger.
pub(super) fn at_least(sum: Sum, show: impl FnOnce(u64) -> String) -> String {
    let mark = if sum.any && !sum.whole { "≥" } else { "" };
    format!("{mark}{}", format::or_dash(sum.value(), show))
}

/// Whether anything was missed, in words.
fn trust(snapshot: &crate::model::Snapshot, width: u16) -> (String, Role) {
    let trust = Trust::of(snapshot);
    if snapshot.host.hv_sock == Module::Absent {
        return ("✘ hv_sock IS NOT LOADED".to_owned(), Role::Bad);
    }
    if !trust.reconciled {
        return (format!("✘ {} EVENTS MISSED", format::count(trust.total_missed())), Role::Bad);
    }
    if trust.blind > 0 {
        return (format!("✘ BLIND: {} PROBES OFF", trust.blind), Role::Bad);
    }
    // Before 6.7 the kernel does not say what kprobes and tracepoints did not deliver.
    let none = match trust.silent {
        0 => "✔ none missed",
        _ if width < 100 => "✔ none known",
        _ => "✔ none known missed",
    };
    if trust.off > 0 {
        return (format!("{none}, {} probes off", trust.off), Role::Warn);
    }
    (none.to_owned(), Role::Good)
}

fn tabs(app: &App, area: Rect, buffer: &mut Buffer) {
    let theme = app.theme;
    let found = app.picture().snapshot.as_deref().and_then(rows::severities);
    let (count, alarm) = match found {
        Some([critical, warning, _]) if critical > 0 => (critical + warning, Role::Bad),
        Some([_, warning, _]) if warning > 0 => (warning, Role::Warn),
        _ => (0, Role::Dim),
    };
    let name = |view: View, long: bool| {
        let (title, short) = view.title();
        let title = if long { title } else { short };
        match (view, count) {
            (View::Findings, 1..) => format!("{title} {count}"),
            _ => title.to_owned(),
        }
    };
    let needed = |long: bool| View::ALL.iter().map(|v| width(&name(*v, long)) + 4).sum::<u16>();
    let long = needed(true) <= area.width;
    let Some(mut line) = Line::of(buffer, area, 0) else { return };
    let mut hits = app.shown.hits.borrow_mut();
    for (number, view) in (1..).zip(View::ALL) {
        let (x, y) = line.at();
        let is = view == app.view;
        let role = match view {
            _ if is => Role::Selected,
            View::Findings if count > 0 => alarm,
            _ => Role::Dim,
        };
        let key = if is { theme.style(Role::Selected) } else { theme.style(Role::Accent) };
        line.put(format!(" {number}"), key);
        line.put(format!(" {}", name(view, long)), theme.style(role));
        line.put(if long { " " } else { "" }, theme.style(role));
        let (end, _) = line.at();
        hits.push((Rect::new(x, y, end - x, 1), Hit::View(view)));
    }
}
