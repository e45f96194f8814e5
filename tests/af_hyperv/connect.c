// SPDX-License-Identifier: GPL-2.0
/* The guest asks the host for a connection; the answer is an offer, which vmbus.c takes. */
#include "af_hyperv.h"

/* Back to where it was before connect(). The caller holds the socket's lock. */
static void give_up(struct sock *sk)
{
	sk->sk_state = SS_UNCONNECTED;
	if (sk->sk_socket)
		sk->sk_socket->state = SS_UNCONNECTED;
}

/* A connect() that did not wait has had no answer in time. Owns a reference. */
noinline void hvsock_connect_timeout(struct work_struct *work)
{
	struct hvsock_sock *hvsk = container_of(work, struct hvsock_sock, connect_work.work);
	struct sock *sk = &hvsk->sk;

	lock_sock(sk);
	if (sk->sk_state == SS_CONNECTING && !sock_flag(sk, SOCK_DEAD)) {
		give_up(sk);
		sk->sk_err = ETIMEDOUT;
		sk_error_report(sk);
	}
	release_sock(sk);
	sock_put(sk);
}

/* Sends the request: from now on the host may answer. */
int hvsock_connect_request(struct hvsock_sock *hvsk);
noinline int hvsock_connect_request(struct hvsock_sock *hvsk)
{
	return vmbus_send_tl_connect_request(&hvsk->local_addr.shv_service_guid,
					     &hvsk->remote_addr.shv_service_guid);
}

static int begin(struct socket *sock, const struct sockaddr_hv *to)
{
	struct sock *sk = sock->sk;
	struct hvsock_sock *hvsk = sk_to_hvsock(sk);
	int err;

	switch (sock->state) {
	case SS_CONNECTED:
		return -EISCONN;
	case SS_CONNECTING:
		return -EALREADY;
	case SS_UNCONNECTED:
		break;
	default:
		return -EINVAL;
	}
	if (sk->sk_state == SS_LISTEN || hvsk->pipe->channel)
		return -EINVAL;
	err = hvsock_autobind(hvsk);
	if (err)
		return err;
	hvsk->remote_addr = *to;
	sk->sk_err = 0;
	sk->sk_state = SS_CONNECTING;
	sock->state = SS_CONNECTING;
	err = hvsock_connect_request(hvsk);
	if (err < 0)
		give_up(sk);
	return err;
}

/* The caller holds the socket's lock. */
static int hvsock_connect_wait(struct socket *sock, long timeout)
{
	struct sock *sk = sock->sk;
	DEFINE_WAIT(wait);
	int err = 0;

	prepare_to_wait(sk_sleep(sk), &wait, TASK_INTERRUPTIBLE);
	while (sk->sk_state == SS_CONNECTING && !sk->sk_err) {
		release_sock(sk);
		timeout = schedule_timeout(timeout);
		lock_sock(sk);
		if (sk->sk_state != SS_CONNECTING)
			break;
		if (signal_pending(current) || !timeout) {
			err = timeout ? sock_intr_errno(timeout) : -ETIMEDOUT;
			give_up(sk);
			break;
		}
		prepare_to_wait(sk_sleep(sk), &wait, TASK_INTERRUPTIBLE);
	}
	finish_wait(sk_sleep(sk), &wait);
	return err ?: sock_error(sk);
}

noinline int hvsock_connect(struct socket *sock, struct sockaddr *address, int len, int flags)
{
	long timeout = msecs_to_jiffies(hvsock_connect_timeout_ms);
	struct sock *sk = sock->sk;
	int err = hvsock_check_address(address, len, true);

	if (err)
		return err;
	hvsock_lock();
	lock_sock(sk);
	err = begin(sock, (const struct sockaddr_hv *)address);
	hvsock_unlock();
	if (err < 0)
		goto out;
	if (flags & O_NONBLOCK) {
		sock_hold(sk);
		if (!schedule_delayed_work(&sk_to_hvsock(sk)->connect_work, timeout))
			__sock_put(sk);
		err = -EINPROGRESS;
	} else {
		err = hvsock_connect_wait(sock, timeout);
	}
out:
	release_sock(sk);
	return err;
}
