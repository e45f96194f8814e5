// SPDX-License-Identifier: GPL-2.0
/* The guest listens and accepts. */
#include "af_hyperv.h"

int hvsock_listen(struct socket *sock, int backlog)
{
	struct sock *sk = sock->sk;
	int err = -EINVAL;

	if (backlog < 0 || backlog > HVSOCK_MAX_BACKLOG)
		return -EINVAL;
	lock_sock(sk);
	/* Bound for good once it is: only release takes it out again. */
	if (sock->state == SS_UNCONNECTED && !guid_is_null(&sk_to_hvsock(sk)->local_addr.shv_service_guid) &&
	    !sk_to_hvsock(sk)->pipe->channel) {
		WRITE_ONCE(sk->sk_max_ack_backlog, backlog);
		sk->sk_state = SS_LISTEN;
		err = 0;
	}
	release_sock(sk);
	return err;
}

/* The caller holds the listener's lock. */
noinline void hvsock_enqueue_accept(struct sock *listener, struct sock *child)
{
	sock_hold(child);
	list_add_tail(&sk_to_hvsock(child)->accept_queue, &sk_to_hvsock(listener)->accept_queue);
	sk_acceptq_added(listener);
}

/* The caller holds the listener's lock, and gets the queue's reference. */
static struct sock *dequeue(struct sock *listener)
{
	struct hvsock_sock *child = list_first_entry_or_null(&sk_to_hvsock(listener)->accept_queue,
							     struct hvsock_sock, accept_queue);

	if (!child)
		return NULL;
	list_del_init(&child->accept_queue);
	sk_acceptq_removed(listener);
	return &child->sk;
}

/* Waits for a child. The caller holds the listener's lock. */
static struct sock *hvsock_accept_wait(struct sock *listener, long timeout, int *err)
{
	struct sock *child;
	DEFINE_WAIT(wait);

	for (;;) {
		prepare_to_wait_exclusive(sk_sleep(listener), &wait, TASK_INTERRUPTIBLE);
		child = dequeue(listener);
		if (child)
			break;
		*err = -EAGAIN;
		if (!timeout)
			break;
		*err = sock_intr_errno(timeout);
		if (signal_pending(current))
			break;
		release_sock(listener);
		timeout = schedule_timeout(timeout);
		lock_sock(listener);
	}
	finish_wait(sk_sleep(listener), &wait);
	return child;
}

int hvsock_accept_sock(struct socket *sock, struct socket *newsock, int flags)
{
	struct sock *listener = sock->sk, *child;
	int err = -EINVAL;

	lock_sock(listener);
	if (listener->sk_state != SS_LISTEN)
		goto out;
	child = hvsock_accept_wait(listener, sock_rcvtimeo(listener, flags & O_NONBLOCK), &err);
	if (!child)
		goto out;
	lock_sock_nested(child, SINGLE_DEPTH_NESTING);
	sock_graft(child, newsock);
	newsock->ops = &hvsock_ops;
	newsock->state = SS_CONNECTED;
	release_sock(child);
	sock_put(child);		/* the queue's; the first is the file's now */
	err = 0;
out:
	release_sock(listener);
	return err;
}
