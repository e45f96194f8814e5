//! The scenarios, in the order in which they run.

mod bad_input;
mod closed_by_guest;
mod closed_by_host;
mod download;
mod echo;
mod host_connects;
mod inventory;
mod inventory_denied;
mod inventory_ending;
mod killed;
mod no_btf;
mod no_hv_sock;
mod not_root;
mod pipe_closed;
mod push;
mod ring_full;
mod started_after;
mod two_hundred;
mod two_tops;

use crate::runner::Scenario;

/// All of them. A new one is a file here and a line there.
pub(crate) const ALL: &[Scenario] = &[
    echo::SCENARIO,
    push::SCENARIO,
    download::SCENARIO,
    ring_full::SCENARIO,
    closed_by_guest::SCENARIO,
    closed_by_host::SCENARIO,
    started_after::SCENARIO,
    inventory_denied::SCENARIO,
    inventory_ending::SCENARIO,
    two_tops::SCENARIO,
    killed::SCENARIO,
    not_root::SCENARIO,
    bad_input::SCENARIO,
    pipe_closed::SCENARIO,
    no_btf::SCENARIO,
    no_hv_sock::SCENARIO,
    inventory::SCENARIO,
    host_connects::SCENARIO,
    two_hundred::SCENARIO,
];
