//! What a view shows, as CSV or JSON, for a file or the clipboard.

use serde_json::{Value, json};

use super::{
    action::View,
    app::{App, Effect},
    columns, derive, rows, words,
};
use crate::model::Snapshot;

/// How to write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Comma-separated values (RFC 4180), exact numbers, nothing for unknown.
    Csv,
    /// JSON, as in the Snapshot.
    Json,
}

/// Saves what the view shows.
pub(super) fn effect(app: &mut App, format: Format) -> Vec<Effect> {
    let Some(snapshot) = app.picture().snapshot.clone() else {
        app.say("there is nothing to save yet");
        return Vec::new();
    };
    let (text, ending) = match format {
        Format::Csv => (csv(&table(app, &snapshot)), "csv"),
        Format::Json => {
            (serde_json::to_string_pretty(&objects(app, &snapshot)).unwrap_or_default() + "\n", "json")
        }
    };
    let time: String = snapshot.time.chars().filter(char::is_ascii_alphanumeric).collect();
    let view = app.view.title().0.to_lowercase();
    vec![Effect::Save { name: format!("hvsock-top-{view}-{time}.{ending}"), text }]
}

/// Copies the selected row, as JSON.
pub(super) fn copy(app: &mut App) -> Vec<Effect> {
    let Some(value) = selected(app) else {
        app.say("select a row first");
        return Vec::new();
    };
    app.say("copied the row as JSON, if the terminal allows it");
    vec![Effect::Copy(value.to_string())]
}

fn selected(app: &App) -> Option<Value> {
    let snapshot = app.picture().snapshot.as_deref()?;
    let key = if app.view == View::Detail { app.connection()? } else { app.selection()? };
    match app.view {
        View::Connections | View::Detail => serde_json::to_value(app.picture().row(key)?.connection).ok(),
        View::Listeners => {
            serde_json::to_value(snapshot.listeners.iter().find(|l| l.port.to_string() == key)?).ok()
        }
        View::Findings => {
            let found = rows::findings(snapshot)?.into_iter().find(|f| rows::finding_key(f) == key)?;
            serde_json::to_value(found).ok()
        }
        View::Probes => serde_json::to_value(snapshot.probes.iter().find(|p| p.event == key)?).ok(),
        View::Latency => serde_json::to_value(snapshot.latency.get(key)?).ok(),
        View::Events => {
            let found = rows::events(app).into_iter().find(|(number, _)| number.to_string() == key)?;
            serde_json::to_value(found.1).ok()
        }
        View::Overview | View::Lookup => None,
    }
}

/// The part of the Snapshot that the view is about; rows that are filtered out are left out.
fn objects(app: &App, snapshot: &Snapshot) -> Value {
    match app.view {
        View::Connections => {
            json!(rows::connections(app).iter().map(|row| row.connection).collect::<Vec<_>>())
        }
        View::Detail => selected(app).unwrap_or(Value::Null),
        View::Listeners => json!(rows::listeners(app)),
        View::Latency => json!(snapshot.latency),
        View::Lookup => json!(snapshot.latency.get("lookup")),
        View::Findings => json!(snapshot.findings),
        View::Probes => json!({ "probes": snapshot.probes, "accounting": snapshot.accounting }),
        View::Events => json!(rows::events(app).iter().map(|(_, event)| event).collect::<Vec<_>>()),
        View::Overview => json!(snapshot),
    }
}

type Table = Vec<Vec<String>>;

fn table(app: &App, snapshot: &Snapshot) -> Table {
    let text = |value: Option<String>| value.unwrap_or_default();
    let head = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
    let mut table = Table::new();
    match app.view {
        View::Connections | View::Detail => {
            let names = columns::ALL.iter().map(|w| w.title().to_lowercase().replace([' ', '/'], "_"));
            table.push(names.collect());
            let only = (app.view == View::Detail).then(|| app.connection()).flatten();
            for row in rows::connections(app).iter().filter(|r| only.is_none_or(|id| r.connection.id == id)) {
                let cell = |which: &columns::Which| match which.rank(row) {
                    columns::Rank::Number(n) => n.to_string(),
                    columns::Rank::Text(_)
                        if *which == columns::Which::State && row.gone_for_ns.is_some() =>
                    {
                        "closed".to_owned()
                    }
                    columns::Rank::Text(text) => text.into_owned(),
                    columns::Rank::Unknown => String::new(),
                };
                table.push(columns::ALL.iter().map(cell).collect());
            }
        }
        View::Listeners => {
            table.push(head(&[
                "port",
                "process",
                "pid",
                "backlog",
                "max_backlog",
                "peak_backlog",
                "accepted",
                "backlog_full",
                "never_accepted",
            ]));
            for l in rows::listeners(app) {
                let number = |n: Option<u64>| text(n.map(|n| n.to_string()));
                table.push(vec![
                    l.port.to_string(),
                    text(l.comm.clone()),
                    number(l.pid.map(u64::from)),
                    number(l.backlog.map(u64::from)),
                    number(l.max_backlog.map(u64::from)),
                    number(l.peak_backlog.map(u64::from)),
                    number(l.accepted),
                    number(l.drops.backlog_full),
                    number(l.drops.never_accepted),
                ]);
            }
        }
        View::Latency | View::Lookup => {
            table.push(head(&["name", "count", "p50_ns", "p90_ns", "p99_ns", "p999_ns", "max_ns"]));
            let wanted = |name: &&str| app.view == View::Latency || *name == "lookup";
            for name in rows::latencies(snapshot).into_iter().filter(wanted) {
                let h = derive::histogram(snapshot, name);
                let of = |get: fn(&crate::model::Histogram) -> Option<u64>| {
                    text(h.and_then(get).map(|n| n.to_string()))
                };
                table.push(vec![
                    name.to_owned(),
                    of(|h| Some(h.count)),
                    of(|h| h.p50_ns),
                    of(|h| h.p90_ns),
                    of(|h| h.p99_ns),
                    of(|h| h.p999_ns),
                    of(|h| h.max_ns),
                ]);
            }
        }
        View::Findings => {
            table.push(head(&["severity", "rule", "port", "summary", "remedy"]));
            for f in rows::findings(snapshot).unwrap_or_default() {
                table.push(vec![
                    words::severity(f.severity).to_owned(),
                    f.rule.clone(),
                    text(f.port.map(|p| p.to_string())),
                    f.summary.clone(),
                    f.remedy.clone(),
                ]);
            }
        }
        View::Probes => {
            table
                .push(head(&["event", "symbol", "backend", "state", "required", "reason", "seen", "missed"]));
            for p in &snapshot.probes {
                let hook = snapshot.accounting.hooks.get(&p.event);
                table.push(vec![
                    p.event.clone(),
                    text(p.symbol.clone()),
                    words::backend(p.backend).to_owned(),
                    words::probe_state(p.state).to_owned(),
                    p.required.to_string(),
                    text(p.reason.clone()),
                    text(hook.map(|h| h.seen.to_string())),
                    text(hook.and_then(|h| h.missed).map(|n| n.to_string())),
                ]);
            }
        }
        View::Events => {
            table.push(head(&[
                "time",
                "event",
                "direction",
                "local_port",
                "remote_port",
                "process",
                "pid",
                "id",
                "duration_ns",
                "tx_bytes",
                "rx_bytes",
                "why",
                "errno",
            ]));
            for (_, e) in rows::events(app) {
                table.push(vec![
                    text(e.time.clone()),
                    words::event(e.event).to_owned(),
                    text(e.direction.map(|d| words::direction_name(d).to_owned())),
                    text(e.local_port.map(|n| n.to_string())),
                    text(e.remote_port.map(|n| n.to_string())),
                    text(e.comm.clone()),
                    text(e.pid.map(|n| n.to_string())),
                    text(e.id.clone()),
                    text(e.duration_ns.map(|n| n.to_string())),
                    text(e.tx_bytes.map(|n| n.to_string())),
                    text(e.rx_bytes.map(|n| n.to_string())),
                    text(e.why.clone()),
                    text(e.errno.map(|n| n.to_string())),
                ]);
            }
        }
        View::Overview => {
            table.push(head(&["name", "value"]));
            for (group, outcomes) in [
                ("from_host", derive::from_host(&snapshot.opens.from_host).to_vec()),
                ("to_host", derive::to_host(&snapshot.opens.to_host).to_vec()),
            ] {
                for (name, n) in outcomes {
                    table.push(vec![format!("opens {group} {name}"), text(n.map(|n| n.to_string()))]);
                }
            }
        }
    }
    table
}

fn csv(table: &Table) -> String {
    let cell = |text: &String| {
        if text.contains([',', '"', '\n', '\r']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.clone()
        }
    };
    table.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_commas_are_quoted() {
        let table = vec![vec!["a".to_owned(), "b,\"c\"\n".to_owned()], vec![String::new(), "d".to_owned()]];
        assert_eq!(csv(&table), "a,\"b,\"\"c\"\"\n\"\r\n,d\r\n");
    }
}
