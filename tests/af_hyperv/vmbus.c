// SPDX-License-Identifier: GPL-2.0
/* Connections as the VMBus sees them: an offer opens one, a rescind ends it. */
#include <linux/module.h>
#include "af_hyperv.h"

int hvsock_open_connection(struct vmbus_channel *channel);
void hvsock_close_connection(struct vmbus_channel *channel);

/*
 * The rest of a rescind. Not in the callback, whose worker deals with one
 * rescind after the other: it would wait for the mutex, which is held by an
 * open that waits for its host, and the rescind that ends that wait could be
 * the next one in the same queue.
 */
void hvsock_close_work(struct work_struct *work)
{
	struct hvsock_sock *hvsk = container_of(work, struct hvsock_sock, close_work);
	struct sock *sk;

	hvsock_lock();
	sk = hvsock_find_connected_socket_by_channel(hvsk->pipe->channel);
	if (sk) {			/* else the guest has closed it already */
		lock_sock(sk);
		sk->sk_state = SS_UNCONNECTED;
		sock_set_flag(sk, SOCK_DONE);
		hvsk->peer_shutdown = SHUTDOWN_MASK;
		hvsock_remove_connected(hvsk);
		sk->sk_state_change(sk);
		release_sock(sk);
	}
	hvsock_unlock();
	sock_put(&hvsk->sk);		/* the channel's */
}

/* The host takes the channel away. The callback does not run any more. */
noinline void hvsock_close_connection(struct vmbus_channel *channel)
{
	struct sock *sk = get_per_channel_state(channel);

	queue_work(hvsock_close_wq, &sk_to_hvsock(sk)->close_work);
}

/* Makes the channel the socket's and asks the host to open it. The caller holds the mutex. */
static int open_channel(struct hvsock_sock *hvsk, struct vmbus_channel *channel)
{
	int err;

	hvsk->pipe->channel = channel;
	set_per_channel_state(channel, hvsk);
	set_channel_read_mode(channel, HV_CALL_DIRECT);
	channel->max_pkt_size = HVSOCK_PKT_LEN(HVSOCK_MTU);
	sock_hold(&hvsk->sk);		/* the channel's */
	err = vmbus_open(channel, HVSOCK_RING_SIZE, HVSOCK_RING_SIZE, NULL, 0, hvsock_on_channel_cb, &hvsk->sk);
	if (err) {
		set_per_channel_state(channel, NULL);
		hvsk->pipe->channel = NULL;
		__sock_put(&hvsk->sk);
		return err;
	}
	vmbus_set_chn_rescind_callback(channel, hvsock_close_connection);
	set_channel_pending_send_size(channel, HVSOCK_PKT_LEN(hvsock_threshold) + 1);
	return 0;
}

/* The host connects to a service of the guest's. */
static int from_host(struct sock *listener, struct vmbus_channel *channel)
{
	const struct vmbus_channel_offer *offer = &channel->offermsg.offer;
	struct hvsock_sock *hvsk;
	struct sock *child;
	int err;

	/* Only here does a backlog grow, and the mutex is held: it is not full later if it is not now. */
	if (READ_ONCE(listener->sk_ack_backlog) >= READ_ONCE(listener->sk_max_ack_backlog))
		return -ECONNREFUSED;
	child = hvsock_create_sock(sock_net(listener), NULL, GFP_KERNEL, 0);
	if (!child)
		return -ENOMEM;
	hvsk = sk_to_hvsock(child);
	child->sk_state = SS_CONNECTING;
	hvsk->local_addr.shv_service_guid = offer->if_type;
	hvsk->remote_addr.shv_service_guid = offer->if_instance;
	err = open_channel(hvsk, channel);
	if (err) {
		sock_put(child);
		return err;
	}
	child->sk_state = SS_CONNECTED;
	hvsock_insert_connected(hvsk);
	lock_sock(listener);
	hvsock_enqueue_accept(listener, child);
	release_sock(listener);
	listener->sk_data_ready(listener);
	return 0;
}

/* The host's answer to a connect. The socket stays locked: a connect that gives up now waits to see how this ends. */
static int to_host(struct sock *sk, struct vmbus_channel *channel)
{
	struct hvsock_sock *hvsk = sk_to_hvsock(sk);
	int err = -ENXIO;

	lock_sock(sk);
	if (sk->sk_state != SS_CONNECTING || hvsk->pipe->channel)
		goto out;
	err = open_channel(hvsk, channel);
	if (err)
		goto out;
	sk->sk_state = SS_CONNECTED;
	if (sk->sk_socket)
		sk->sk_socket->state = SS_CONNECTED;
	if (cancel_delayed_work(&hvsk->connect_work))
		__sock_put(sk);
	hvsock_insert_connected(hvsk);
	sk->sk_state_change(sk);
out:
	release_sock(sk);
	return err;
}

/* As in the patch: all of it under the mutex, the host's answer included. */
noinline int hvsock_open_connection(struct vmbus_channel *channel)
{
	const struct vmbus_channel_offer *offer = &channel->offermsg.offer;
	bool host_asks = offer->u.pipe.user_def[0];
	struct sock *sk;
	int err = -ENXIO;

	hvsock_lock();
	sk = hvsock_find_bound_socket(host_asks ? &offer->if_type : &offer->if_instance);
	if (sk && !host_asks)
		err = to_host(sk, channel);
	else if (sk && sk->sk_state == SS_LISTEN)
		err = from_host(sk, channel);
	hvsock_unlock();
	return err;
}

/* An offer that is not opened is the host's to take back, so there is no error to report. */
int hvsock_probe(struct hv_device *device, const struct hv_vmbus_device_id *id);
noinline int hvsock_probe(struct hv_device *device, const struct hv_vmbus_device_id *id)
{
	hvsock_open_connection(device->channel);
	return 0;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
static void hvsock_remove(struct hv_device *device)
{
	vmbus_close(device->channel);
}
#else
static int hvsock_remove(struct hv_device *device)
{
	vmbus_close(device->channel);
	return 0;
}
#endif

/* Offers of this kind have any GUID; the flag `hvsock` is what hv_vmbus matches. */
static const struct hv_vmbus_device_id ids[] = { {} };

static struct hv_driver driver = {
	.name = "af_hyperv", .hvsock = true, .id_table = ids, .probe = hvsock_probe, .remove = hvsock_remove,
};

int hvsock_vmbus_start(void)
{
	return vmbus_driver_register(&driver);
}

void hvsock_vmbus_stop(void)
{
	vmbus_driver_unregister(&driver);
}
