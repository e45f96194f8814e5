//! Every probe absent, one at a time.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{host, traffic};
use serde_json::Value;

use crate::compare::accounting;
use crate::needs::NEEDS;
use crate::runner::Scenario;
use crate::snapshot::Snapshot;
use crate::steps;
use crate::top::Top;

pub(super) const SCENARIO: Scenario = Scenario {
    timeout: Duration::from_mins(10),
    ..Scenario::new(
        "denied",
        "each probe denied in turn: what needs it is null, everything else as exact as ever",
        run,
    )
};

/// The tool is blind without these, and says so; `inventory` has a scenario of its own.
const OTHERS: [&str; 4] = ["open", "established", "freed", "inventory"];

/// So many watch the same traffic at the same time.
const TOGETHER: usize = 4;

/// What is null or empty even with every probe, in this traffic.
struct Plain {
    null: BTreeSet<String>,
    values: Vec<(String, Value)>,
    active: Vec<String>,
}

fn run() -> Result<()> {
    host::host("mode 5600 echo")?;
    let [whole] = &observe(&[&[]])?[..] else { bail!("not one") };
    // An event that this kernel does not show cannot be denied either.
    let (mut denied, mut unknown) = (Vec::new(), Vec::new());
    for event in &whole.active {
        match NEEDS.iter().find(|(name, _)| name == event) {
            Some(entry) => denied.push(entry),
            None if OTHERS.contains(&event.as_str()) => {}
            None => unknown.push(event),
        }
    }
    ensure!(unknown.is_empty(), "this scenario does not say what needs {unknown:?}");
    ensure!(denied.len() > 20, "only {} probes are active: {:?}", denied.len(), whole.active);
    let mut wrong = Vec::new();
    for group in denied.chunks(TOGETHER) {
        let options: Vec<[&str; 2]> = group.iter().map(|(event, _)| ["--deny-probe", *event]).collect();
        let options: Vec<&[&str]> = options.iter().map(|o| &o[..]).collect();
        for ((event, expected), seen) in group.iter().zip(observe(&options)?) {
            if let Err(error) = compare(whole, &seen, expected) {
                wrong.push(format!("without {event}: {error:#}"));
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn compare(whole: &Plain, seen: &Plain, expected: &[&str]) -> Result<()> {
    let expected: BTreeSet<String> = expected.iter().flat_map(|path| spread(path)).collect();
    let got: BTreeSet<String> = seen.null.difference(&whole.null).cloned().collect();
    let missing: Vec<_> = expected.difference(&got).collect();
    let more: Vec<_> = got.difference(&expected).collect();
    let mut wrong = Vec::new();
    if !missing.is_empty() {
        wrong.push(format!("not null, but unknown without it: {missing:?}"));
    }
    if !more.is_empty() {
        wrong.push(format!("null, but known without it: {more:?}"));
    }
    for (path, value) in &whole.values {
        match seen.values.iter().find(|(p, _)| p == path) {
            Some((_, other)) if other != value => {
                wrong.push(format!("{path}: {value} with it, {other} without"));
            }
            _ => {}
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("; "));
    Ok(())
}

/// `conn` is a connection of either direction.
fn spread(path: &str) -> Vec<String> {
    match path.strip_prefix("conn/") {
        Some(rest) => vec![format!("from/{rest}"), format!("to/{rest}")],
        None => vec![path.to_owned()],
    }
}

/// The same traffic under an hvsock-top with each of these options: three connections, one of them closed; a drop.
fn observe(options: &[&[&str]]) -> Result<Vec<Plain>> {
    host::host("reset")?;
    let start = |options: &&[&str]| Top::start_with(options);
    let tops = together(options.iter().collect(), start)?;
    let open = traffic()?;
    thread::sleep(Duration::from_millis(300));
    ensure!(host::ledger()?.conns.iter().filter(|c| c.refused).count() == 1, "no drop");
    let mut live = Vec::new();
    for top in &tops {
        live.push(top.wait("the connections and the drop", |s| {
            ensure!(s.connections()?.len() == 2, "connections: {}", s.connections()?.len());
            accounting(s)
        })?);
    }
    drop(open);
    steps::all_gone()?;
    let mut plain = Vec::new();
    for (top, live) in tops.iter().zip(&live) {
        let last = top.wait("no connection is left", |s| {
            ensure!(s.connections()?.is_empty(), "connections remain: {:?}", s.connections()?);
            accounting(s)
        })?;
        plain.push(Plain::of(live, &last)?);
    }
    together(tops, Top::stop)?;
    Ok(plain)
}

/// Does it to all at once: most of a start or an end is waiting.
fn together<T: Send, R: Send>(all: Vec<T>, act: impl Fn(T) -> Result<R> + Sync) -> Result<Vec<R>> {
    thread::scope(|scope| {
        let threads: Vec<_> = all.into_iter().map(|one| scope.spawn(|| act(one))).collect();
        let join = |thread: thread::ScopedJoinHandle<'_, Result<R>>| {
            thread.join().map_err(|_| anyhow!("a thread panicked"))?
        };
        threads.into_iter().map(join).collect()
    })
}

fn traffic() -> Result<(Listener, Stream, Stream)> {
    let listener = Listener::bind(6400, 8).context("cannot listen")?;
    host::host("connect 6400 echo")?;
    let from = listener.accept(steps::LIMIT)?.context("nothing to accept")?;
    host::host("connect 6401 echo")?;
    let gone = traffic::connect(5600)?;
    traffic::echo(&gone, 300)?;
    waits(&gone)?;
    drop(gone);
    steps::wait_ledger("one is gone", |l| l.of_service(5600).all(|c| !c.live()))?;
    let to = traffic::connect(5600)?;
    for (stream, bytes) in [(&from, 1000), (&to, 2000)] {
        traffic::echo(stream, bytes)?;
    }
    steps::wait_ledger("an offer without a listener is taken back", |l| {
        l.conns.iter().any(|c| c.refused && !c.live())
    })?;
    Ok((listener, from, to))
}

/// A reader that has to wait: else it would be chance whether there is a time of it.
fn waits(stream: &Stream) -> Result<()> {
    let reading = stream.another()?;
    let reader = thread::spawn(move || reading.receive_exact(&mut [0; 100]));
    thread::sleep(Duration::from_millis(200));
    host::host("write 100 5600")?;
    reader.join().map_err(|_| anyhow!("the reader panicked"))??;
    Ok(())
}

impl Plain {
    /// The Snapshot as paths: those that are null, and the values of those that the same traffic gives again.
    fn of(live: &Snapshot, last: &Snapshot) -> Result<Self> {
        let probes = live.list("probes")?.iter().filter(|p| p["state"] == "active");
        let active = probes.filter_map(|p| p["event"].as_str().map(str::to_owned)).collect();
        let mut plain = Self { null: BTreeSet::new(), values: Vec::new(), active };
        for (name, direction) in [("from", "from_host"), ("to", "to_host")] {
            let mut found = live.connections()?.iter().filter(|c| c["direction"] == direction);
            plain.walk(name, found.next().with_context(|| format!("no connection {direction}"))?);
        }
        // The rest of a listener comes from the inventory, at its own pace.
        for part in ["accepted", "drops"] {
            let value = live.listener(6400)?.get(part).with_context(|| format!("no listener/{part}"))?;
            plain.walk(&format!("listener/{part}"), value);
        }
        let service = |p: &&Value| p["port"] == 6400 && p["direction"] == "from_host";
        plain.walk("service", last.list("ports")?.iter().find(service).context("no port 6400")?);
        for part in ["opens", "closes", "totals", "latency", "lookup/bound_lookups"] {
            plain.walk(part, last.at(part).with_context(|| format!("no {part}"))?);
        }
        Ok(plain)
    }

    fn walk(&mut self, path: &str, value: &Value) {
        match value {
            // Whose it is may come from the inventory as well, at its own pace.
            _ if ["pid", "comm", "fd"].iter().any(|name| path.ends_with(&format!("/{name}"))) => {}
            Value::Null => drop(self.null.insert(path.to_owned())),
            Value::Object(members) => {
                for (name, member) in members {
                    self.walk(&format!("{path}/{name}"), member);
                }
            }
            // Times, waits and what is counted by chance differ from run to run.
            _ if varies(path) => {}
            other => self.values.push((path.to_owned(), other.clone())),
        }
    }
}

fn varies(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ours = ["id", "relid", "local_port", "remote_port", "opened_at", "occupancy", "buckets"];
    // Whether a reader has to wait and how often the host interrupts is chance.
    let chance = ["waits", "calls", "max_used_bytes", "callbacks"];
    name.ends_with("_ns")
        || ours.contains(&name)
        || chance.contains(&name)
        || path.contains("callback")
        || path.contains("recv_wait")
}
