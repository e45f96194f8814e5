//! Which kernel fields the programs read, and under which names kernels have them.

use std::collections::BTreeMap;

use hvsock_common::{Layout, PACKET_OVERHEAD, RING_RESERVE, RING_RESERVE_2016};

use super::{Family, TypeInfo};

/// The fields, each with the paths under which kernels have had it, newest first.
const PATHS: &[(&str, &[&str])] = &[
    ("device_channel", &["hv_device.channel"]),
    ("chan_offermsg", &["vmbus_channel.offermsg"]),
    ("chan_relid", &["vmbus_channel.offermsg.child_relid"]),
    ("chan_if_type", &["vmbus_channel.offermsg.offer.if_type"]),
    ("chan_if_instance", &["vmbus_channel.offermsg.offer.if_instance"]),
    ("chan_flags", &["vmbus_channel.offermsg.offer.chn_flags"]),
    (
        "chan_user_def",
        &["vmbus_channel.offermsg.offer.u.pipe.user_def[0]", "vmbus_channel.offermsg.offer.u.pipe.user_def"],
    ),
    ("chan_out_header", &["vmbus_channel.outbound.ring_buffer"]),
    ("chan_out_size", &["vmbus_channel.outbound.ring_datasize"]),
    ("chan_in_header", &["vmbus_channel.inbound.ring_buffer"]),
    ("chan_in_size", &["vmbus_channel.inbound.ring_datasize"]),
    ("chan_in_priv_read", &["vmbus_channel.inbound.priv_read_index"]),
    ("chan_ring_pages", &["vmbus_channel.ringbuffer_pagecount"]),
    ("chan_state", &["vmbus_channel.per_channel_state"]),
    ("chan_rescind", &["vmbus_channel.rescind"]),
    ("ring_write_index", &["hv_ring_buffer.write_index"]),
    ("hvs_vsk", &["hvsock.vsk"]),
    ("hvs_chan", &["hvsock.chan"]),
    ("hvs_recv_desc", &["hvsock.recv_desc"]),
    ("hvs_recv_len", &["hvsock.recv_data_len"]),
    ("hvs_recv_off", &["hvsock.recv_data_off"]),
    ("vsk_trans", &["vsock_sock.trans"]),
    ("vsk_local_port", &["vsock_sock.local_addr.svm_port"]),
    ("vsk_remote_port", &["vsock_sock.remote_addr.svm_port"]),
    ("vsk_close_work", &["vsock_sock.close_work.work"]),
    ("vsk_connect_work", &["vsock_sock.connect_work.work", "vsock_sock.dwork.work"]),
    ("vsk_accept_queue", &["vsock_sock.accept_queue"]),
    ("vsk_listener", &["vsock_sock.listener"]),
    ("sk_state", &["sock.__sk_common.skc_state"]),
    ("sk_ack_backlog", &["sock.sk_ack_backlog"]),
    ("sk_max_ack_backlog", &["sock.sk_max_ack_backlog"]),
    ("sk_err", &["sock.sk_err"]),
    ("sk_family", &["sock.__sk_common.skc_family"]),
    ("sk_flags", &["sock.__sk_common.skc_flags"]),
    ("sk_socket", &["sock.sk_socket"]),
    ("socket_sk", &["socket.sk"]),
    ("socket_file", &["socket.file"]),
    ("file_inode", &["file.f_inode"]),
    ("file_private", &["file.private_data"]),
    ("inode_mode", &["inode.i_mode"]),
    ("task_tgid", &["task_struct.tgid"]),
    ("task_comm", &["task_struct.comm"]),
    ("iter_session", &["bpf_iter_meta.session_id"]),
    ("addr_port", &["sockaddr_vm.svm_port"]),
];

/// Where AF_HYPERV has what vsock and hv_sock have elsewhere; no path: it has nothing of the kind. A service GUID begins with the port it
/// stands for.
const OF_AF_HYPERV: &[(&str, &[&str])] = &[
    ("hvs_vsk", &["hvsock_pipe.sk"]),
    ("hvs_chan", &["hvsock_pipe.channel"]),
    ("hvs_recv_desc", &["hvsock_pipe.recv_desc"]),
    ("hvs_recv_len", &["hvsock_pipe.recv_data_len"]),
    ("hvs_recv_off", &["hvsock_pipe.recv_data_off"]),
    ("vsk_trans", &["hvsock_sock.pipe"]),
    ("vsk_local_port", &["hvsock_sock.local_addr.shv_service_guid"]),
    ("vsk_remote_port", &["hvsock_sock.remote_addr.shv_service_guid"]),
    ("vsk_close_work", &[]),
    ("vsk_connect_work", &["hvsock_sock.connect_work.work"]),
    ("vsk_accept_queue", &["hvsock_sock.accept_queue"]),
    ("vsk_listener", &[]),
    ("addr_port", &[]),
];

/// Under which names `family` has the field.
fn paths_of(family: Family, name: &str, paths: &'static [&'static str]) -> &'static [&'static str] {
    let own = OF_AF_HYPERV.iter().find(|(own, _)| *own == name && family == Family::AfHyperv);
    own.map_or(paths, |(_, own)| own)
}

/// The result of looking for every field.
#[derive(Clone, Debug)]
pub struct Fields {
    /// The offsets, with [`hvsock_common::MISSING`] for those not found.
    pub layout: Layout,
    /// Fields not found, and why.
    pub missing: BTreeMap<&'static str, String>,
}

impl Fields {
    /// The first of `needed` that this kernel does not have.
    pub fn first_missing<'a>(&self, needed: &'a [&'a str]) -> Option<&'a str> {
        needed.iter().copied().find(|name| self.missing.contains_key(name))
    }
}

/// Looks for every field of a family.
pub fn resolve(types: &TypeInfo, family: Family) -> Fields {
    let mut fields = Fields { layout: Layout::EMPTY, missing: BTreeMap::new() };
    for &(name, paths) in PATHS {
        let paths = paths_of(family, name, paths);
        let found = paths.iter().find_map(|path| types.offset(path));
        match (found, fields.layout.field_mut(name)) {
            (Some(offset), Some(field)) => *field = offset,
            _ => {
                fields
                    .missing
                    .insert(name, format!("this kernel's types do not have {}", nothing_else(paths, name)));
            }
        }
    }
    fill_in(&mut fields.layout, family);
    fields
}

/// What is missing.
fn nothing_else(paths: &[&str], name: &str) -> String {
    if paths.is_empty() { format!("what would be {name}") } else { paths.join(" or ") }
}

/// What no type says.
fn fill_in(layout: &mut Layout, family: Family) {
    let of = |layout: &mut Layout, family, [listen, connecting, established, closing]: [u32; 4], reserve| {
        layout.family = family;
        layout.state_listen = listen;
        layout.state_connecting = connecting;
        layout.state_established = established;
        layout.state_closing = closing;
        layout.ring_reserve = reserve;
    };
    match family {
        // Since 4.15 the states are TCP's (include/net/tcp_states.h); in 4.14 they were vsock's own.
        Family::Vsock => of(layout, 40, [10, 2, 1, 11], RING_RESERVE),
        // Its own for listening, otherwise those of enum socket_state (include/uapi/linux/net.h).
        Family::AfHyperv => of(layout, 43, [255, 2, 3, 4], threshold().map_or(RING_RESERVE_2016, reserve_of)),
    }
}

/// What AF_HYPERV leaves unused when it sends only with more than a packet of `threshold` bytes available.
fn reserve_of(threshold: u32) -> u32 {
    threshold.next_multiple_of(8) + PACKET_OVERHEAD
}

/// That threshold, which is a parameter of the module.
fn threshold() -> Option<u32> {
    std::fs::read_to_string("/sys/module/af_hyperv/parameters/threshold").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn af_hyperv_takes_the_place_of_vsock_and_of_nothing_else() {
        assert_eq!(reserve_of(4096), RING_RESERVE_2016);
        assert_eq!(reserve_of(65), 104);
        for (name, paths) in PATHS {
            let here = paths_of(Family::AfHyperv, name, paths);
            let of_vsock = paths
                .iter()
                .any(|p| ["hvsock.", "vsock_sock.", "sockaddr_vm."].iter().any(|t| p.starts_with(t)));
            assert_eq!(here != *paths, of_vsock, "{name}: {here:?}");
            assert_eq!(paths_of(Family::Vsock, name, paths), *paths);
        }
    }

    #[test]
    fn every_path_names_a_field_of_the_layout_and_the_other_way_round() {
        for (name, _) in PATHS {
            assert!(Layout::EMPTY.field(name).is_some(), "{name}");
        }
        let elsewhere = [
            "state_listen",
            "state_connecting",
            "state_established",
            "state_closing",
            "family",
            "ring_reserve",
            "tp_msg_type",
            "tp_teardown_ret",
        ];
        for name in Layout::FIELDS {
            assert!(PATHS.iter().any(|(n, _)| n == name) || elsewhere.contains(name), "{name}");
        }
    }
}
