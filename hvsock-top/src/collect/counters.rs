//! Summing the CPUs' counters.

use std::collections::BTreeMap;

use hvsock_common::{
    Accounting, CONNECT_RESULTS, ClosedTotals, Closes, ConnectResult, CpuCounters, Direction, Histogram,
    Hook, Latency, MAX_RELIDS, OPEN_RESULTS, OpenResult, bucket_bounds,
};

use super::{
    slots::Pass,
    together::{CLOSE, FIRST_BYTE, STALL, WAIT},
    totals, vmbus,
};
use crate::{kernel::Mapped, model};

/// The sums over all CPUs.
#[derive(Clone)]
pub(super) struct Sums {
    /// By [`Hook`].
    pub accounting: Vec<Accounting>,
    opens: [[u64; OPEN_RESULTS.len()]; 2],
    connects: [u64; CONNECT_RESULTS.len()],
    connects_ok: u64,
    connects_late_timed_out: u64,
    connects_abandoned: u64,
    /// How connections ended.
    pub closes: Closes,
    /// Of the connections that are gone.
    pub closed: ClosedTotals,
    /// Children never accepted.
    pub never_accepted: u64,
    /// Binds refused with EPERM or EACCES.
    pub bind_not_permitted: u64,
    /// Sockets refused with EPERM.
    pub sockets_not_permitted: u64,
    /// Messages of the host's that refuse a connect.
    pub host_refusals: u64,
    /// GPADL teardowns that failed.
    pub teardown_failures: u64,
    latency: Vec<Histogram>,
}

macro_rules! add_fields {
    ($to:expr, $from:expr, $($field:ident),+) => { $($to.$field += $from.$field;)+ };
}

impl Default for Sums {
    fn default() -> Self {
        Self {
            accounting: vec![Accounting::default(); Hook::COUNT],
            opens: Default::default(),
            connects: Default::default(),
            connects_ok: 0,
            connects_late_timed_out: 0,
            connects_abandoned: 0,
            closes: Closes::default(),
            closed: ClosedTotals::default(),
            never_accepted: 0,
            bind_not_permitted: 0,
            sockets_not_permitted: 0,
            host_refusals: 0,
            teardown_failures: 0,
            latency: vec![bytemuck::Zeroable::zeroed(); Latency::COUNT],
        }
    }
}

/// Adds up all CPUs, and what was counted before.
pub(super) fn sum(cpus: &Mapped<CpuCounters>, before: &Sums) -> Sums {
    let mut sums = before.clone();
    for index in 0..cpus.len() {
        let cpu = cpus.read(index);
        for (to, from) in sums.accounting.iter_mut().zip(&cpu.accounting) {
            add_fields!(to, from, seen, recorded, filtered, ring_full, map_full, faulted, unpaired, entered);
        }
        for (to, from) in sums.opens.iter_mut().flatten().zip(cpu.opens.iter().flatten()) {
            *to += from;
        }
        for (to, from) in sums.connects.iter_mut().zip(&cpu.connects) {
            *to += from;
        }
        add_fields!(sums, cpu, connects_ok, connects_late_timed_out, connects_abandoned, never_accepted);
        add_fields!(sums, cpu, bind_not_permitted, sockets_not_permitted, host_refusals, teardown_failures);
        add_fields!(sums.closes, cpu.closes, graceful, timed_out, by_host, other);
        totals::add(&mut sums.closed, &cpu.closed);
        for (to, from) in sums.latency.iter_mut().zip(&cpu.latency) {
            add_histogram(to, from);
        }
    }
    sums
}

fn add_histogram(to: &mut Histogram, from: &Histogram) {
    to.count += from.count;
    to.sum += from.sum;
    to.not_min = to.not_min.max(from.not_min);
    to.max = to.max.max(from.max);
    for (to, from) in to.buckets.iter_mut().zip(&from.buckets) {
        *to += from;
    }
}

impl Sums {
    /// Outcomes of opens; `None` where the events that tell them apart are not seen.
    pub(super) fn opens(&self, sees: impl Fn(Hook) -> bool) -> model::Opens {
        let from = |result: OpenResult| {
            // Each outcome is told from the steps that were reached: without its own steps, and those before them, it passes for "other".
            let needed: &[Hook] = match result {
                OpenResult::Ok => &[Hook::Open],
                OpenResult::NotVsock | OpenResult::NoListener => &[Hook::Open, Hook::Lookup],
                OpenResult::BadState
                | OpenResult::BacklogFull
                | OpenResult::Ambiguous
                | OpenResult::NomemSock => &[Hook::Open, Hook::Lookup, Hook::Create],
                OpenResult::RingEnomem | OpenResult::HostRefused | OpenResult::Rescinded => {
                    &[Hook::Open, Hook::Lookup, Hook::HostOpen]
                }
                OpenResult::Transport | OpenResult::Other => {
                    &[Hook::Open, Hook::Lookup, Hook::Create, Hook::Transport, Hook::HostOpen]
                }
            };
            needed
                .iter()
                .all(|hook| sees(*hook))
                .then(|| self.opens[Direction::FromHost as usize][result as usize])
        };
        let to = |result: ConnectResult| {
            (sees(Hook::Connect) && sees(Hook::ConnectEnd)).then(|| self.connects[result as usize])
        };
        let offered = |needed: &[Hook], results: &[OpenResult]| {
            (sees(Hook::Open) && sees(Hook::Lookup) && needed.iter().all(|hook| sees(*hook)))
                .then(|| results.iter().map(|r| self.opens[Direction::ToHost as usize][*r as usize]).sum())
        };
        // A connect whose failure was not seen is still under way, and abandoned when its socket is closed.
        let abandoned = [Hook::Connect, Hook::ConnectEnd, Hook::ConnectTimeout, Hook::Release];
        model::Opens {
            from_host: model::OpensFromHost {
                ok: from(OpenResult::Ok),
                not_vsock: from(OpenResult::NotVsock),
                no_listener: from(OpenResult::NoListener),
                bad_state: from(OpenResult::BadState),
                backlog_full: from(OpenResult::BacklogFull),
                nomem_sock: from(OpenResult::NomemSock),
                transport: from(OpenResult::Transport),
                ring_enomem: from(OpenResult::RingEnomem),
                host_refused: from(OpenResult::HostRefused),
                rescinded: from(OpenResult::Rescinded),
                ambiguous: from(OpenResult::Ambiguous),
                other: from(OpenResult::Other),
            },
            to_host: model::OpensToHost {
                ok: sees(Hook::Established).then_some(self.connects_ok),
                timed_out: to(ConnectResult::TimedOut)
                    .filter(|_| sees(Hook::ConnectTimeout))
                    .map(|n| n + self.connects_late_timed_out),
                refused: to(ConnectResult::Refused),
                interrupted: to(ConnectResult::Interrupted),
                unreachable: to(ConnectResult::Unreachable),
                not_permitted: to(ConnectResult::NotPermitted),
                abandoned: abandoned.iter().all(|hook| sees(*hook)).then_some(self.connects_abandoned),
                other: to(ConnectResult::Other),
                late_offers: offered(&[], &[OpenResult::NoListener, OpenResult::BadState]),
                ring_enomem: offered(&[Hook::HostOpen], &[OpenResult::RingEnomem]),
                host_refused: offered(&[Hook::HostOpen], &[OpenResult::HostRefused]),
            },
        }
    }

    /// The sums over everything. What the table of offers says is filled in by whoever has it.
    pub(super) fn totals(
        &self,
        pass: &Pass,
        connections: &[model::Connection],
        sees: &impl Fn(Hook) -> bool,
    ) -> model::Totals {
        let mut sum = self.closed;
        for record in &pass.live {
            totals::add(&mut sum, &totals::so_far(record));
        }
        model::Totals {
            traffic: totals::traffic(&sum, sees),
            live_connections: Some(connections.len() as u64),
            closed_connections: Some(self.closed.connections),
            relids_used: vmbus::channels(),
            relids_max: MAX_RELIDS as u64,
            ring_memory_bytes: connections.iter().map(|c| c.rings.memory_bytes).sum(),
            never_accepted: sees(Hook::Accept).then_some(self.never_accepted),
            offers_waiting: None,
            oldest_offer_ns: None,
            host_refusals: sees(Hook::HostMessage).then_some(self.host_refusals),
            teardown_failures: sees(Hook::Teardown).then_some(self.teardown_failures),
            binds_not_permitted: sees(Hook::Bind).then_some(self.bind_not_permitted),
            sockets_not_permitted: None,
        }
    }

    /// The histograms, by name.
    pub(super) fn latency(&self, sees: impl Fn(Hook) -> bool) -> BTreeMap<String, Option<model::Histogram>> {
        Latency::ALL
            .iter()
            .map(|which| {
                let whole = sources(*which).iter().all(|hook| sees(*hook));
                let value = whole.then(|| describe(&self.latency[*which as usize]));
                (which.name().to_owned(), value)
            })
            .collect()
    }
}

/// The events without which a histogram stays empty.
fn sources(which: Latency) -> &'static [Hook] {
    match which {
        Latency::Connect => &[Hook::Connect, Hook::Established],
        Latency::OfferToProbe => &[Hook::Offer, Hook::Open],
        Latency::Lookup => &[Hook::Lookup, Hook::Open],
        Latency::RingAlloc => &[Hook::RingAlloc, Hook::Open],
        Latency::HostOpen => &[Hook::HostOpen, Hook::RingAlloc, Hook::Open],
        Latency::OtherOpen => &[Hook::HostOpen, Hook::Lookup, Hook::Open],
        Latency::AcceptWait => &[Hook::AcceptQueue, Hook::Accept],
        Latency::FirstByteTx | Latency::FirstByteRx => FIRST_BYTE,
        Latency::Close => CLOSE,
        Latency::CallbackRun => &[Hook::Callback],
        Latency::CallbackDelay => &[Hook::Interrupt, Hook::Callback],
        Latency::SendStall => STALL,
        Latency::RecvWait => WAIT,
    }
}

fn describe(histogram: &Histogram) -> model::Histogram {
    let some = histogram.count > 0;
    model::Histogram {
        count: histogram.count,
        sum_ns: histogram.sum,
        min_ns: some.then_some(!histogram.not_min),
        max_ns: some.then_some(histogram.max),
        buckets: histogram
            .buckets
            .iter()
            .enumerate()
            .filter(|(_, n)| **n > 0)
            .map(|(index, n)| (bucket_bounds(index).1.saturating_sub(1), *n))
            .collect(),
        ..model::Histogram::default()
    }
    .with_percentiles()
}

/// Whether a hook's sum adds up.
pub(super) fn adds_up(row: &Accounting) -> bool {
    row.seen == row.recorded + row.filtered + row.ring_full + row.map_full + row.faulted
}
