//! Which kernel fields the programs read, and under which names kernels have them.

use std::collections::BTreeMap;

use hvsock_common::Layout;

use super::TypeInfo;

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

/// Looks for every field.
pub fn resolve(types: &TypeInfo) -> Fields {
    let mut fields = Fields { layout: Layout::EMPTY, missing: BTreeMap::new() };
    for &(name, paths) in PATHS {
        let found = paths.iter().find_map(|path| types.offset(path));
        match (found, fields.layout.field_mut(name)) {
            (Some(offset), Some(field)) => *field = offset,
            _ => {
                fields
                    .missing
                    .insert(name, format!("this kernel's types do not have {}", paths.join(" or ")));
            }
        }
    }
    // Since 4.15 the states are TCP's (include/net/tcp_states.h); in 4.14 they were vsock's own.
    fields.layout.state_listen = 10;
    fields.layout.state_connecting = 2;
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_names_a_field_of_the_layout_and_the_other_way_round() {
        for (name, _) in PATHS {
            assert!(Layout::EMPTY.field(name).is_some(), "{name}");
        }
        let elsewhere =
            ["state_listen", "state_connecting", "tp_chan_sched_relid", "tp_msg_type", "tp_teardown_ret"];
        for name in Layout::FIELDS {
            assert!(PATHS.iter().any(|(n, _)| n == name) || elsewhere.contains(name), "{name}");
        }
    }
}
