// SPDX-License-Identifier: GPL-2.0
/* The two rings of a channel: what can be sent and received now, and doing it. */
#include <linux/module.h>
#include "af_hyperv.h"

#define STRICT sizeof(u64)		/* hv_vmbus never fills a ring to its last eight bytes */

/* The host has written something, or has made the room we asked for. Runs in a tasklet; the socket is alive until the channel is gone. */
noinline void hvsock_on_channel_cb(void *ctx)
{
	struct sock *sk = ctx;

	if (hvsock_can_read(sk_to_hvsock(sk)))
		sk->sk_data_ready(sk);
	if (hvsock_can_write(sk_to_hvsock(sk)))
		sk->sk_write_space(sk);
}

/* The largest payload that may be sent now: none below the threshold, and always so that a FIN still fits behind it. */
static u32 room(const struct hvsock_sock *hvsk)
{
	u32 avail = hv_get_bytes_to_write(&hvsk->pipe->channel->outbound);

	if (avail <= HVSOCK_PKT_LEN(hvsock_threshold))
		return 0;
	avail -= STRICT + HVSOCK_PKT_LEN(0) + HVSOCK_PKT_LEN(0);
	return min_t(u32, round_down(avail, 8), HVSOCK_SEND_MAX);
}

bool hvsock_can_write(const struct hvsock_sock *hvsk)
{
	return room(hvsk) > 0;
}

bool hvsock_can_read(const struct hvsock_sock *hvsk)
{
	return hvsk->pipe->recv_desc ||
	       hv_get_bytes_to_read(&hvsk->pipe->channel->inbound) >= HVSOCK_PKT_LEN(0);
}

static int write_packet(struct hvsock_pipe *pipe, u32 len)
{
	pipe->send.header.pkt_type = cpu_to_le32(1);
	pipe->send.header.data_size = cpu_to_le32(len);
	return vmbus_sendpacket(pipe->channel, &pipe->send, sizeof(pipe->send.header) + len, 0,
				VM_PKT_DATA_INBAND, 0);
}

/* Sends what fits, in packets. How many bytes that were, or an error when none; -EAGAIN: there is no room. */
noinline ssize_t hvsock_send_data(struct hvsock_sock *hvsk, struct msghdr *msg, size_t len)
{
	struct hvsock_pipe *pipe = hvsk->pipe;
	ssize_t sent = 0;
	int err = -EAGAIN;

	while (sent < len) {
		u32 n = min_t(size_t, len - sent, room(hvsk));

		if (!n)
			break;
		err = memcpy_from_msg(pipe->send.data, msg, n);
		if (err)
			break;
		err = write_packet(pipe, n);
		if (err) {
			iov_iter_revert(&msg->msg_iter, n);
			break;
		}
		sent += n;
	}
	return sent ?: err;
}

/* Tells the host that nothing more comes, once. There is always room for it. */
void hvsock_send_fin(struct hvsock_sock *hvsk)
{
	struct hvsock_pipe *pipe = hvsk->pipe;

	if (hvsk->sk.sk_state != SS_CONNECTED || pipe->fin_sent)
		return;
	pipe->fin_sent = true;
	write_packet(pipe, 0);		/* fails only when the host is gone, and then it need not know */
}

static struct hvsock_header *header_of(const struct hvsock_pipe *pipe)
{
	return (struct hvsock_header *)(pipe->recv_desc + 1);
}

/* Looks at the packet in recv_desc; goes past FINs. False: what the host wrote is no packet of this protocol. */
static bool take(struct hvsock_sock *hvsk)
{
	struct hvsock_pipe *pipe = hvsk->pipe;

	pipe->recv_data_len = pipe->recv_data_off = 0;
	while (pipe->recv_desc) {
		u32 len = hv_pkt_len(pipe->recv_desc), size;

		if (len < HVSOCK_HEADERS)
			return false;
		size = le32_to_cpu(READ_ONCE(header_of(pipe)->data_size));
		if (size > len - HVSOCK_HEADERS || size > HVSOCK_MTU)
			return false;
		if (size) {
			pipe->recv_data_len = size;
			return true;
		}
		hvsk->peer_shutdown |= SEND_SHUTDOWN;
		pipe->recv_desc = hv_pkt_iter_next(pipe->channel, pipe->recv_desc);
	}
	return true;
}

/* Receives from one packet; there is one. Bytes, 0 when it was the FIN, or an error. */
noinline ssize_t hvsock_recv_data(struct hvsock_sock *hvsk, struct msghdr *msg, size_t len, int flags)
{
	struct hvsock_pipe *pipe = hvsk->pipe;
	u32 n;

	if (!pipe->recv_data_len) {
		if (!pipe->recv_desc)
			pipe->recv_desc = hv_pkt_iter_first(pipe->channel);
		if (!pipe->recv_desc || !take(hvsk))
			return -EIO;
	}
	n = min_t(size_t, len, pipe->recv_data_len);
	if (!n)
		return 0;
	if (memcpy_to_msg(msg, (u8 *)(header_of(pipe) + 1) + pipe->recv_data_off, n))
		return -EFAULT;
	pipe->recv_data_len -= n;
	pipe->recv_data_off += n;
	if (!pipe->recv_data_len) {
		pipe->recv_desc = hv_pkt_iter_next(pipe->channel, pipe->recv_desc);
		take(hvsk);		/* sees a FIN at once; the next call meets nonsense and says so */
	}
	return n;
}
