//! The cells of the experiment: each measures one thing with what is in the room.

use std::fs::File;
use std::io::Read as _;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, ensure};
use hvsock_guest::af_hyperv::Counts;
use hvsock_guest::ledger::{Conn, Ledger};
use hvsock_guest::vsock::{Listener, Stream};
use hvsock_guest::{PATIENCE, host};
use serde_json::{Value, json};

use super::busy;
use super::lookup::{self, ECHO, Plan, SERVICE, Variant};
use super::watch::Watch;

/// How long a thousand connections may take to go.
const GONE: Duration = Duration::from_mins(2);
/// Threads that bind and close.
const THREADS: usize = 4;
/// Their first port.
const BINDERS: u32 = 50_000;
/// Connections that the host opens meanwhile: fewer than a backlog takes.
const MEANWHILE: usize = 64;

/// Listeners and idle connections, and the order in which they were bound.
pub(super) struct Room {
    variant: Variant,
    listeners: Vec<Listener>,
    idle: Vec<Stream>,
    /// Ports of all bound sockets, the oldest first.
    bound: Vec<u32>,
    rest: Duration,
}

impl Room {
    /// With so many services, and no connection.
    pub(super) fn new(variant: Variant, services: usize, rest: Duration) -> Result<Self> {
        let listeners = lookup::listeners(services)?;
        let bound = (0..services).map(|i| SERVICE + i as u32).collect();
        Ok(Self { variant, listeners, idle: Vec::new(), bound, rest })
    }

    /// Connects until so many are idle.
    pub(super) fn grow(&mut self, to: usize) -> Result<()> {
        while self.idle.len() < to {
            let at = self.idle.len();
            self.idle.push(lookup::connect().with_context(|| format!("idle connection {}", at + 1))?);
        }
        let names = lookup::names(&self.idle)?;
        lookup::all_named(&names)?;
        self.bound.truncate(self.listeners.len());
        self.bound.extend(names);
        self.quiet()
    }

    /// Closes everything.
    pub(super) fn empty(mut self) -> Result<()> {
        self.idle.clear();
        self.listeners.clear();
        self.quiet()?;
        host::host("reset")
    }

    /// Data bytes of a ring.
    pub(super) fn ring(&mut self) -> Result<u64> {
        let stream = lookup::connect()?;
        let size = host::ledger()?.live().map(|c| c.out_size).max().context("no connection in the ledger")?;
        drop(stream);
        self.quiet()?;
        Ok(size)
    }

    /// Until nothing is left but what is idle.
    fn quiet(&self) -> Result<()> {
        let end = Instant::now() + GONE;
        loop {
            sleep(self.rest);
            let live = live()?;
            if live == self.idle.len() as u64 {
                return Ok(());
            }
            ensure!(Instant::now() < end, "{live} connections live, {} should", self.idle.len());
        }
    }

    /// Runs a cell: gives what `act` gives, the ledger's lines of the connections that came and went, and what the module counted.
    fn cell<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<(T, Seen)> {
        host::host("reset")?;
        let before = self.counts()?;
        let given = act(self)?;
        self.quiet()?;
        let after = self.counts()?;
        let ledger = host::ledger()?;
        Ok((given, Seen::new(&ledger, before.zip(after))))
    }

    fn counts(&self) -> Result<Option<Counts>> {
        self.variant.counts().then(Counts::now).transpose()
    }
}

/// Channels that exist, without reading all of the ledger.
fn live() -> Result<u64> {
    let mut line = [0; 1024];
    let n = File::open("/proc/hvhost")?.read(&mut line)?;
    let text = String::from_utf8_lossy(&line[..n]);
    let first = text.lines().next().unwrap_or_default();
    let number = first.split_whitespace().find_map(|word| word.strip_prefix("live="));
    number.and_then(|n| n.parse().ok()).with_context(|| format!("the ledger begins: {first}"))
}

/// What was seen of a cell.
struct Seen {
    /// Connections that came, and were opened; all of them have gone.
    conns: Vec<Conn>,
    /// Relids of the idle ones.
    idle: Vec<u32>,
    counts: Option<(Counts, Counts)>,
}

impl Seen {
    fn new(ledger: &Ledger, counts: Option<(Counts, Counts)>) -> Self {
        let conns = ledger.conns.iter().filter(|c| !c.live() && c.opened_ns > 0).cloned().collect();
        Self { conns, idle: ledger.live().map(|c| c.relid).collect(), counts }
    }

    /// A difference of a counter; `null` where nobody counts.
    fn grown(&self, of: fn(&Counts) -> u64) -> Option<u64> {
        self.counts.as_ref().map(|(before, after)| of(after) - of(before))
    }

    fn bound(&self, lookups: usize, nodes: u64) -> Value {
        json!({
            "lookups_expected": lookups, "lookups": self.grown(|c| c.bound_lookups), "nodes_expected": nodes,
            "nodes": self.grown(|c| c.bound_nodes), "cost": self.grown(|c| c.bound_ns),
        })
    }

    /// A lookup for each rescind. `alone`: there was no other connection but the idle ones.
    fn connected(&self, variant: Variant, alone: bool) -> Value {
        let kept = variant.connected();
        let nodes = alone.then(|| self.conns.iter().map(|c| kept.miss(&self.idle, c.relid)).sum::<u64>());
        json!({
            "lookups_expected": self.conns.len(), "lookups": self.grown(|c| c.connected_lookups),
            "nodes_expected": nodes, "nodes": self.grown(|c| c.connected_nodes), "cost": self.grown(|c| c.connected_ns),
        })
    }

    fn mutex(&self) -> Option<Value> {
        let (locks, contended) = (self.grown(|c| c.locks)?, self.grown(|c| c.contended)?);
        Some(json!({
            "locks": locks, "contended": contended,
            "wait": self.grown(|c| c.wait_ns)?, "held": self.grown(|c| c.held_ns)?,
        }))
    }

    /// From the first offer to the last open.
    fn elapsed(&self) -> Result<u64> {
        let first = self.conns.iter().map(|c| c.offered_ns).min().context("nothing was opened")?;
        let last = self.conns.iter().map(|c| c.opened_ns).max().context("nothing was opened")?;
        Ok(last - first)
    }
}

/// The parts of the lives of connections that go one after the other.
fn sequence(
    room: &mut Room,
    watch: &mut Watch,
    opens: usize,
    mut once: impl FnMut(&Room, usize) -> Result<()>,
) -> Result<(Value, Seen)> {
    // The first of its kind pays for what later ones find done.
    once(room, 0)?;
    room.quiet()?;
    let then = watch.ask()?;
    let (lives, seen) = room.cell(|room| {
        (0..opens)
            .map(|i| {
                sleep(room.rest);
                let before = busy()?;
                once(room, i)?;
                sleep(room.rest);
                let life = busy()? - before;
                room.quiet()?;
                Ok(life)
            })
            .collect::<Result<Vec<u64>>>()
    })?;
    let now = watch.ask()?;
    let cell = json!({
        "services": room.listeners.len(), "opens": opens, "ledger_opens": seen.conns.len(), "life": lives,
        "then": then["latency"], "now": now["latency"], "reconciled": now["accounting"]["reconciled"],
    });
    Ok((cell, seen))
}

/// The host connects, to services spread evenly.
pub(super) fn from_host(room: &mut Room, watch: &mut Watch, plan: &Plan) -> Result<Value> {
    let (opens, services) = (plan.opens, room.listeners.len());
    let which = |i: usize| (2 * i + 1) * services / (2 * opens);
    let (mut cell, seen) = sequence(room, watch, opens, |room, i| {
        let at = which(i);
        host::host(&format!("connect {} echo", SERVICE as usize + at))?;
        room.listeners[at].accept(PATIENCE)?.context("nothing to accept").map(drop)
    })?;
    let nodes = (0..opens).map(|i| room.variant.bound().hit(&room.bound, which(i))).sum();
    lookup::merge(
        &mut cell,
        json!({
            "direction": "from_host", "bound": seen.bound(opens, nodes), "connected": seen.connected(room.variant, true),
        }),
    );
    Ok(cell)
}

/// The guest connects.
pub(super) fn to_host(room: &mut Room, watch: &mut Watch, plan: &Plan) -> Result<Value> {
    let (mut cell, seen) = sequence(room, watch, plan.opens, |_, _| lookup::connect().map(drop))?;
    lookup::merge(
        &mut cell,
        json!({
            "direction": "to_host", "bound": named(room, &seen), "connected": seen.connected(room.variant, true),
        }),
    );
    Ok(cell)
}

/// Each connection looks for a name that nobody has; the open then finds the newest.
fn named(room: &Room, seen: &Seen) -> Value {
    let kept = room.variant.bound();
    let nodes = seen.conns.iter().map(|c| kept.miss(&room.bound, c.guest_port) + 1).sum();
    seen.bound(2 * seen.conns.len(), nodes)
}

fn burst(room: &Room, direction: &str, plan: &Plan, seen: &Seen, busy: u64, bound: &Value) -> Result<Value> {
    Ok(json!({
        "direction": direction, "opens": plan.burst, "ledger_opens": seen.conns.len(), "elapsed": seen.elapsed()?,
        "busy": busy, "bound": bound, "connected": seen.connected(room.variant, false), "mutex": seen.mutex(),
    }))
}

/// The host offers all at once.
pub(super) fn burst_from_host(room: &mut Room, plan: &Plan) -> Result<Value> {
    let (busy, seen) = room.cell(|room| {
        let before = busy()?;
        host::host(&format!("connect {SERVICE} echo 0 {}", plan.burst))?;
        // Closed when all are open: what is measured is opens.
        let accept = || room.listeners[0].accept(PATIENCE)?.context("nothing to accept");
        drop((0..plan.burst).map(|_| accept()).collect::<Result<Vec<_>>>()?);
        room.quiet()?;
        Ok(busy()? - before)
    })?;
    let nodes = plan.burst as u64 * room.variant.bound().hit(&room.bound, 0);
    burst(room, "from_host", plan, &seen, busy, &seen.bound(plan.burst, nodes))
}

/// The guest connects and closes in a loop.
pub(super) fn burst_to_host(room: &mut Room, plan: &Plan) -> Result<Value> {
    let (busy, seen) = room.cell(|room| {
        let before = busy()?;
        for _ in 0..plan.burst {
            drop(Stream::connect(ECHO)?);
        }
        room.quiet()?;
        Ok(busy()? - before)
    })?;
    burst(room, "to_host", plan, &seen, busy, &named(room, &seen))
}

/// Threads bind and close sockets in a loop, until each has done so often enough and, if the host is to open connections, all are open.
pub(super) fn contention(room: &mut Room, plan: &Plan, opening: bool) -> Result<Value> {
    let ((binds, closes), seen) = room.cell(|room| {
        let (enough, ready) = (AtomicBool::new(!opening), Barrier::new(THREADS + 1));
        thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|i| {
                    let (enough, ready) = (&enough, &ready);
                    scope.spawn(move || {
                        ready.wait();
                        binder(BINDERS + i as u32, plan.binds, enough)
                    })
                })
                .collect();
            ready.wait();
            let opened = if opening { open_meanwhile(room) } else { Ok(()) };
            enough.store(true, Ordering::Relaxed);
            let (mut binds, mut closes) = (Vec::new(), Vec::new());
            for thread in threads {
                let (bind, close) = thread.join().map_err(|_| anyhow!("a thread panicked"))??;
                binds.extend(bind);
                closes.extend(close);
            }
            opened.map(|()| (binds, closes))
        })
    })?;
    ensure!(!opening || seen.conns.len() == MEANWHILE, "{} of {MEANWHILE} opened", seen.conns.len());
    Ok(json!({
        "threads": THREADS, "opening": opening, "ledger_opens": seen.conns.len(), "bind": binds, "close": closes,
        "mutex": seen.mutex(),
    }))
}

fn open_meanwhile(room: &Room) -> Result<()> {
    host::host(&format!("connect {SERVICE} echo 0 {MEANWHILE}"))?;
    for _ in 0..MEANWHILE {
        drop(room.listeners[0].accept(PATIENCE)?.context("nothing to accept")?);
    }
    Ok(())
}

/// What each `bind()` and `close()` took.
fn binder(port: u32, least: usize, enough: &AtomicBool) -> Result<(Vec<u64>, Vec<u64>)> {
    let (mut binds, mut closes) = (Vec::new(), Vec::new());
    while binds.len() < least || !enough.load(Ordering::Relaxed) {
        let begin = Instant::now();
        let bound = Listener::bound(port)?;
        binds.push(begin.elapsed().as_nanos() as u64);
        let begin = Instant::now();
        drop(bound);
        closes.push(begin.elapsed().as_nanos() as u64);
    }
    Ok((binds, closes))
}

#[cfg(test)]
mod tests {
    use hvsock_guest::ledger::State;

    use super::*;

    #[test]
    fn what_went_is_not_what_is_idle() {
        let conn = |relid, state| Conn { relid, opened_ns: 5, state, ..Conn::default() };
        let conns = vec![conn(1, State::Open), conn(252, State::Gone), conn(2, State::Open)];
        let ledger = Ledger { conns, ..Ledger::default() };
        let seen = Seen::new(&ledger, None);
        assert_eq!((seen.conns.len(), seen.idle.clone()), (1, vec![1, 2]));
        assert_eq!(seen.connected(Variant::Hash, true)["nodes_expected"], 1);
        assert_eq!(seen.connected(Variant::List, true)["nodes_expected"], 2);
        assert!(seen.connected(Variant::List, false)["nodes_expected"].is_null());
    }
}
