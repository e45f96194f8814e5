//! The rules, each about one thing that goes wrong. `docs/findings/<name>.md` explains it to whoever meets it.

mod closing;
mod flow;
mod opens;
mod resources;
mod trust;

#[cfg(test)]
mod tests;

use super::View;
use crate::model::Finding;

/// A rule.
#[derive(Clone, Copy)]
pub struct Rule {
    /// Its name: stable, and the name of its page.
    pub name: &'static str,
    /// What it finds, in a few words.
    pub about: &'static str,
    /// What it finds in a view.
    pub check: fn(&View<'_>, &Rule) -> Vec<Finding>,
}

/// Every rule, by name.
pub const RULES: &[Rule] = &[
    Rule {
        name: "accept_starved",
        about: "established connections wait too long to be accepted",
        check: opens::accept_starved,
    },
    Rule {
        name: "backlog_full",
        about: "the host's connections are dropped at a full backlog",
        check: opens::backlog_full,
    },
    Rule { name: "blind", about: "what must be seen cannot be seen", check: trust::blind },
    Rule {
        name: "channels_leaked",
        about: "closed connections whose channel the host does not take back",
        check: closing::channels_leaked,
    },
    Rule {
        name: "close_timeouts",
        about: "closes that the host did not answer within 8 s",
        check: closing::close_timeouts,
    },
    Rule { name: "closing_stuck", about: "closes that wait for the host", check: closing::closing_stuck },
    Rule {
        name: "connect_refused",
        about: "guest connects are refused, again and again",
        check: opens::connect_refused,
    },
    Rule { name: "connect_timeouts", about: "guest connects time out", check: opens::connect_timeouts },
    Rule {
        name: "host_nonsense",
        about: "the host writes impossible ring indices",
        check: flow::host_nonsense,
    },
    Rule {
        name: "idle_connections",
        about: "many idle connections hold rings",
        check: flow::idle_connections,
    },
    Rule { name: "lookup_slow", about: "finding the listener takes long", check: resources::lookup_slow },
    Rule { name: "lossy", about: "the tool has missed something", check: trust::lossy },
    Rule { name: "no_listener", about: "the host connects where nobody listens", check: opens::no_listener },
    Rule {
        name: "not_permitted",
        about: "binds or connects are refused for want of a right",
        check: opens::not_permitted,
    },
    Rule {
        name: "offers_queued",
        about: "offers wait for the one worker that handles them",
        check: resources::offers_queued,
    },
    Rule { name: "reader_slow", about: "data lies unread in a ring", check: flow::reader_slow },
    Rule { name: "relids_high", about: "the VMBus runs out of channels", check: resources::relids_high },
    Rule { name: "ring_memory", about: "no contiguous memory for rings", check: resources::ring_memory },
    Rule { name: "send_stalled", about: "senders wait for room in the ring", check: flow::send_stalled },
    Rule {
        name: "sockets_abandoned",
        about: "the guest holds connections that the host has taken away",
        check: closing::sockets_abandoned,
    },
    Rule {
        name: "teardown_failed",
        about: "ring memory was lost at a close",
        check: closing::teardown_failed,
    },
];

/// One thing or many, in words.
fn count(number: u64, one: &str, many: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {many}") }
}

/// A duration in a sentence.
fn time(ns: u64) -> String {
    match ns {
        0..1_000_000 => format!("{} µs", ns / 1_000),
        1_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Milliseconds as nanoseconds.
fn ns(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}
