//! The scenarios, in the order in which they run.

mod af_hyperv;
mod af_hyperv_full;
mod af_hyperv_storm;
mod af_hyperv_tables;
mod backlog;
mod bad_input;
mod busy_start;
mod clock;
mod close_slow;
mod closed_by_guest;
mod closed_by_host;
mod connect_failures;
mod denied;
mod doctor;
mod doctor_not_root;
mod download;
mod echo;
mod faults_connects;
mod faults_opens;
mod fields;
mod findings_closing;
mod findings_flow;
mod findings_limits;
mod findings_opens;
mod host_connects;
mod inventory;
mod inventory_ending;
mod inventory_fallback;
mod inventory_fallback_ending;
mod inventory_owners;
mod inventory_shared;
mod inventory_sysfs;
mod killed;
mod kprobes;
mod least_privilege;
mod lifecycle;
mod lookup_experiment;
mod lookup_lab;
mod lookup_live;
mod lookup_tables;
mod losses;
mod no_btf;
mod no_hv_sock;
mod nonsense;
mod not_permitted;
mod not_root;
mod open_failures;
mod open_phases;
mod pipe_closed;
mod prometheus;
mod push;
mod receive_wait;
mod record;
mod record_command;
mod record_limits;
mod reload;
mod rescind_load;
mod rescind_unread;
mod ring_full;
mod ring_sizes;
mod same_socket;
mod screen;
mod send_stall;
mod serve;
mod serve_bad_input;
mod serve_many;
mod serve_no_vsock;
mod signals;
mod started_after;
mod storm;
mod ten_thousand;
mod two_cpus;
mod two_hundred;
mod two_tops;
mod unseen_opens;

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
    inventory_sysfs::SCENARIO,
    inventory_owners::SCENARIO,
    inventory_ending::SCENARIO,
    inventory_shared::SCENARIO,
    unseen_opens::SCENARIO,
    inventory_fallback_ending::SCENARIO,
    two_tops::SCENARIO,
    busy_start::SCENARIO,
    killed::SCENARIO,
    not_root::SCENARIO,
    bad_input::SCENARIO,
    pipe_closed::SCENARIO,
    no_btf::SCENARIO,
    no_hv_sock::SCENARIO,
    serve_no_vsock::SCENARIO,
    doctor::SCENARIO,
    doctor_not_root::SCENARIO,
    least_privilege::SCENARIO,
    fields::SCENARIO,
    not_permitted::SCENARIO,
    open_failures::SCENARIO,
    connect_failures::SCENARIO,
    faults_opens::SCENARIO,
    faults_connects::SCENARIO,
    losses::SCENARIO,
    open_phases::SCENARIO,
    backlog::SCENARIO,
    send_stall::SCENARIO,
    same_socket::SCENARIO,
    receive_wait::SCENARIO,
    close_slow::SCENARIO,
    rescind_unread::SCENARIO,
    ring_sizes::SCENARIO,
    lifecycle::SCENARIO,
    kprobes::SCENARIO,
    nonsense::SCENARIO,
    findings_opens::SCENARIO,
    findings_flow::SCENARIO,
    findings_closing::SCENARIO,
    findings_limits::SCENARIO,
    lookup_lab::SCENARIO,
    lookup_live::SCENARIO,
    lookup_tables::SCENARIO,
    clock::SCENARIO,
    screen::SCENARIO,
    serve::SCENARIO,
    serve_bad_input::SCENARIO,
    serve_many::SCENARIO,
    prometheus::SCENARIO,
    storm::SCENARIO,
    ten_thousand::SCENARIO,
    record::SCENARIO,
    record_command::SCENARIO,
    record_limits::SCENARIO,
    signals::SCENARIO,
    denied::SCENARIO,
    reload::SCENARIO,
    inventory::SCENARIO,
    inventory_fallback::SCENARIO,
    af_hyperv::SCENARIO,
    af_hyperv_full::SCENARIO,
    lookup_experiment::SCENARIO,
    af_hyperv_storm::SCENARIO,
    af_hyperv_tables::SCENARIO,
    host_connects::SCENARIO,
    two_cpus::SCENARIO,
    rescind_load::SCENARIO,
    two_hundred::SCENARIO,
];
