// SPDX-License-Identifier: GPL-2.0
/* A socket's life: create, bind, shutdown, release, poll. */
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include "af_hyperv.h"

#define AUTOBIND_TRIES 24
#define AUTOBIND_FIRST 1024		/* as vsock: ports below are for services */

/* Windows' name for the host. */
static const guid_t host_vm = GUID_INIT(0xa42e7cda, 0xd03f, 0x480c, 0x9c, 0xc2, 0xa4, 0xde, 0x20, 0xab, 0xb8, 0x78);

struct proto hvsock_proto = {
	.name = "AF_HYPERV", .owner = THIS_MODULE, .obj_size = sizeof(struct hvsock_sock),
};

/* The last reference is gone. */
noinline void hvsock_sk_destruct(struct sock *sk);
noinline void hvsock_sk_destruct(struct sock *sk)
{
	struct hvsock_pipe *pipe = sk_to_hvsock(sk)->pipe;

	/* The channel's reference is dropped after its rescind, so this does not wait for the host. */
	if (pipe->channel)
		vmbus_hvsock_device_unregister(pipe->channel);
	kfree(pipe);
}

noinline struct sock *hvsock_create_sock(struct net *net, struct socket *sock, gfp_t gfp, int kern)
{
	struct hvsock_pipe *pipe = kzalloc(sizeof(*pipe), gfp);
	struct hvsock_sock *hvsk;
	struct sock *sk;

	if (!pipe)
		return NULL;
	sk = sk_alloc(net, AF_HYPERV, gfp, &hvsock_proto, kern);
	if (!sk) {
		kfree(pipe);
		return NULL;
	}
	sock_init_data(sock, sk);
	sk->sk_destruct = hvsock_sk_destruct;
	sk->sk_state = SS_UNCONNECTED;
	hvsk = sk_to_hvsock(sk);
	hvsk->pipe = pipe;
	pipe->sk = sk;
	hvsk->peer_shutdown = 0;
	memset(&hvsk->local_addr, 0, sizeof(hvsk->local_addr));
	hvsk->local_addr.shv_family = AF_HYPERV;
	hvsk->remote_addr = hvsk->local_addr;
	INIT_LIST_HEAD(&hvsk->bound_node);
	INIT_LIST_HEAD(&hvsk->connected_node);
	INIT_LIST_HEAD(&hvsk->accept_queue);
	INIT_DELAYED_WORK(&hvsk->connect_work, hvsock_connect_timeout);
	INIT_WORK(&hvsk->close_work, hvsock_close_work);
	return sk;
}

int hvsock_check_address(const struct sockaddr *address, int len, bool to_host)
{
	const struct sockaddr_hv *a = (const struct sockaddr_hv *)address;

	if (len < (int)sizeof(*a))
		return -EFAULT;
	if (a->shv_family != AF_HYPERV)
		return -EAFNOSUPPORT;
	if (a->reserved)
		return -EINVAL;
	if (!guid_is_null(&a->shv_vm_guid) && !(to_host && guid_equal(&a->shv_vm_guid, &host_vm)))
		return -EADDRNOTAVAIL;
	return 0;
}

/*
 * Gives a socket that connects a service GUID nobody else has: of the form
 * that stands for a port of vsock's, so that the connection has one. The
 * caller holds the mutex.
 */
int hvsock_autobind(struct hvsock_sock *hvsk)
{
	guid_t g = GUID_INIT(0, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3);
	static u32 next_port;
	int i;

	if (!list_empty(&hvsk->bound_node))
		return 0;
	for (i = 0; i < AUTOBIND_TRIES; i++) {
		__le32 port;

		if (next_port < AUTOBIND_FIRST || next_port > S32_MAX)
			next_port = AUTOBIND_FIRST + get_random_u32() % (S32_MAX - AUTOBIND_FIRST);
		port = cpu_to_le32(next_port++);
		memcpy(&g, &port, sizeof(port));
		if (!hvsock_find_bound_socket(&g)) {
			hvsk->local_addr.shv_service_guid = g;
			hvsock_insert_bound(hvsk);
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

noinline int hvsock_bind(struct socket *sock, struct sockaddr *address, int len)
{
	const struct sockaddr_hv *a = (const struct sockaddr_hv *)address;
	struct hvsock_sock *hvsk = sk_to_hvsock(sock->sk);
	int err = hvsock_check_address(address, len, false);

	if (err)
		return err;
	if (guid_is_null(&a->shv_service_guid))
		return -EADDRNOTAVAIL;
	hvsock_lock();
	lock_sock(sock->sk);
	if (!list_empty(&hvsk->bound_node)) {
		err = -EINVAL;
	} else if (hvsock_find_bound_socket(&a->shv_service_guid)) {
		err = -EADDRINUSE;
	} else {
		hvsk->local_addr = *a;
		hvsock_insert_bound(hvsk);
	}
	release_sock(sock->sk);
	hvsock_unlock();
	return err;
}

int hvsock_getname(struct socket *sock, struct sockaddr *address, int peer)
{
	struct hvsock_sock *hvsk = sk_to_hvsock(sock->sk);
	int len = sizeof(hvsk->local_addr);

	lock_sock(sock->sk);
	if (peer && sock->state != SS_CONNECTED)
		len = -ENOTCONN;
	else
		memcpy(address, peer ? &hvsk->remote_addr : &hvsk->local_addr, len);
	release_sock(sock->sk);
	return len;
}

int hvsock_shutdown(struct socket *sock, int how)
{
	struct sock *sk = sock->sk;
	int err = 0;

	how++;				/* SHUT_RD, SHUT_WR, SHUT_RDWR to a sum of RCV_SHUTDOWN and SEND_SHUTDOWN */
	if (how & ~SHUTDOWN_MASK || !how)
		return -EINVAL;
	lock_sock(sk);
	if (sock->state != SS_CONNECTED) {
		err = -ENOTCONN;
	} else {
		sk->sk_shutdown |= how;
		if (how & SEND_SHUTDOWN)
			hvsock_send_fin(sk_to_hvsock(sk));
		sk->sk_state_change(sk);
	}
	release_sock(sk);
	return err;
}

/* The guest closes; takes over the caller's reference. */
noinline void hvsock_release_internal(struct sock *sk);
noinline void hvsock_release_internal(struct sock *sk)
{
	struct hvsock_sock *hvsk = sk_to_hvsock(sk), *child, *tmp;
	LIST_HEAD(orphans);

	hvsock_lock();
	lock_sock(sk);
	hvsock_remove_bound(hvsk);
	hvsock_remove_connected(hvsk);
	hvsock_send_fin(hvsk);
	sock_orphan(sk);
	sk->sk_shutdown = SHUTDOWN_MASK;
	if (sk->sk_state == SS_LISTEN) {
		list_splice_init(&hvsk->accept_queue, &orphans);
		WRITE_ONCE(sk->sk_ack_backlog, 0);
	}
	if (cancel_delayed_work(&hvsk->connect_work))
		__sock_put(sk);
	release_sock(sk);
	hvsock_unlock();

	/* Children that nobody accepted. They are found by nobody else but their channel now. */
	list_for_each_entry_safe(child, tmp, &orphans, accept_queue) {
		list_del_init(&child->accept_queue);
		sock_put(&child->sk);		/* the queue's: not the last */
		hvsock_release_internal(&child->sk);
	}
	sock_put(sk);
}

int hvsock_release(struct socket *sock)
{
	struct sock *sk = sock->sk;

	if (!sk)
		return 0;
	sock->sk = NULL;
	sock->state = SS_FREE;
	hvsock_release_internal(sk);
	return 0;
}

__poll_t hvsock_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait)
{
	struct sock *sk = sock->sk;
	struct hvsock_sock *hvsk = sk_to_hvsock(sk);
	bool host_gone, ended;
	__poll_t mask = 0;

	poll_wait(file, sk_sleep(sk), wait);
	lock_sock(sk);
	host_gone = hvsk->peer_shutdown & SEND_SHUTDOWN;
	ended = hvsk->peer_shutdown == SHUTDOWN_MASK;
	if (sk->sk_err)
		mask |= EPOLLERR;
	if (sk->sk_shutdown == SHUTDOWN_MASK || (ended && sk->sk_shutdown & SEND_SHUTDOWN))
		mask |= EPOLLHUP;
	if (sk->sk_shutdown & RCV_SHUTDOWN || host_gone)
		mask |= EPOLLRDHUP;
	if (sk->sk_state == SS_LISTEN) {
		if (!list_empty(&hvsk->accept_queue))
			mask |= EPOLLIN | EPOLLRDNORM;
	} else if (sk->sk_state == SS_CONNECTED || sock_flag(sk, SOCK_DONE)) {
		if (hvsock_can_read(hvsk) || host_gone || sk->sk_shutdown & RCV_SHUTDOWN)
			mask |= EPOLLIN | EPOLLRDNORM;
		/* A send that must fail does not block either. */
		if (ended || sk->sk_shutdown & SEND_SHUTDOWN || hvsock_can_write(hvsk))
			mask |= EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND;
	} else if (sk->sk_err) {
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;	/* a connect that failed */
	}
	release_sock(sk);
	return mask;
}
