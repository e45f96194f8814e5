//! Where the kernel keeps what the programs read: offsets in bytes, from the running kernel's BTF.

/// The offset of a field that this kernel does not have. The loader never loads a program that reads one.
pub const MISSING: u32 = u32::MAX;

macro_rules! layout {
    ($($(#[$doc:meta])* $field:ident),+ $(,)?) => {
        /// Offsets of kernel structure members, in bytes.
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "user", derive(bytemuck::Pod, bytemuck::Zeroable))]
        pub struct Layout { $($(#[$doc])* pub $field: u32),+ }

        impl Layout {
            /// Nothing resolved.
            pub const EMPTY: Layout = Layout { $($field: MISSING),+ };
            /// The names of the fields, in order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),+];
            /// The field called `name`.
            pub fn field_mut(&mut self, name: &str) -> Option<&mut u32> {
                match name { $(stringify!($field) => Some(&mut self.$field),)+ _ => None }
            }
            /// The value of the field called `name`.
            pub fn field(&self, name: &str) -> Option<u32> {
                match name { $(stringify!($field) => Some(self.$field),)+ _ => None }
            }
        }
    };
}

layout! {
    /// `hv_device.channel`
    device_channel,
    /// `vmbus_channel.offermsg`
    chan_offermsg,
    /// `vmbus_channel.offermsg.child_relid`
    chan_relid,
    /// `vmbus_channel.offermsg.offer.if_type`
    chan_if_type,
    /// `vmbus_channel.offermsg.offer.if_instance`
    chan_if_instance,
    /// `vmbus_channel.offermsg.offer.chn_flags`
    chan_flags,
    /// `vmbus_channel.offermsg.offer.u.pipe.user_def[0]`
    chan_user_def,
    /// `vmbus_channel.outbound.ring_buffer`
    chan_out_header,
    /// `vmbus_channel.outbound.ring_datasize`
    chan_out_size,
    /// `vmbus_channel.inbound.ring_buffer`
    chan_in_header,
    /// `vmbus_channel.inbound.ring_datasize`
    chan_in_size,
    /// `vmbus_channel.inbound.priv_read_index`
    chan_in_priv_read,
    /// `vmbus_channel.ringbuffer_pagecount`
    chan_ring_pages,
    /// `vmbus_channel.per_channel_state`
    chan_state,
    /// `vmbus_channel.rescind`
    chan_rescind,
    /// `hv_ring_buffer.write_index`; `read_index` follows at once
    ring_write_index,
    /// `hvsock.vsk`
    hvs_vsk,
    /// `hvsock.chan`
    hvs_chan,
    /// `hvsock.recv_desc`
    hvs_recv_desc,
    /// `hvsock.recv_data_len`
    hvs_recv_len,
    /// `hvsock.recv_data_off`
    hvs_recv_off,
    /// `vsock_sock.trans`
    vsk_trans,
    /// `vsock_sock.local_addr.svm_port`
    vsk_local_port,
    /// `vsock_sock.remote_addr.svm_port`
    vsk_remote_port,
    /// `vsock_sock.close_work.work`
    vsk_close_work,
    /// `vsock_sock.connect_work.work`
    vsk_connect_work,
    /// `vsock_sock.listener`
    vsk_listener,
    /// `vsock_sock.accept_queue`: a listener's list of children, and a child's place in it
    vsk_accept_queue,
    /// `sock.__sk_common.skc_state`
    sk_state,
    /// `sock.sk_ack_backlog`
    sk_ack_backlog,
    /// `sock.sk_max_ack_backlog`
    sk_max_ack_backlog,
    /// `sock.sk_err`
    sk_err,
    /// `sock.__sk_common.skc_family`
    sk_family,
    /// `sock.__sk_common.skc_flags`
    sk_flags,
    /// `sock.sk_socket`
    sk_socket,
    /// `socket.sk`
    socket_sk,
    /// `socket.file`
    socket_file,
    /// `file.f_inode`
    file_inode,
    /// `file.private_data`
    file_private,
    /// `inode.i_mode`
    inode_mode,
    /// `task_struct.tgid`
    task_tgid,
    /// `task_struct.comm`
    task_comm,
    /// `bpf_iter_meta.session_id`
    iter_session,
    /// `sockaddr_vm.svm_port`
    addr_port,
    /// Where `msgtype` is in the record of `hyperv:vmbus_on_msg_dpc`
    tp_msg_type,
    /// Where `ret` is in the record of `hyperv:vmbus_teardown_gpadl`
    tp_teardown_ret,
    /// The state number of a listening socket (`TCP_LISTEN`, or `VSOCK_SS_LISTEN` before 4.15)
    state_listen,
    /// The state number of a connecting socket (`TCP_SYN_SENT`, or `SS_CONNECTING` before 4.15)
    state_connecting,
    /// The state number of a connected socket (`TCP_ESTABLISHED`, or `SS_CONNECTED`)
    state_established,
    /// The state number of a socket whose close is under way (`TCP_CLOSING`, or `SS_DISCONNECTING`)
    state_closing,
    /// The number of the sockets' family (`AF_VSOCK`, or 43 for AF_HYPERV)
    family,
    /// Bytes of an out ring that stay unused: with no more available nothing is written
    ring_reserve,
}
