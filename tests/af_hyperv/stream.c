// SPDX-License-Identifier: GPL-2.0
/* sendmsg, recvmsg, and what they wait for. */
#include "af_hyperv.h"

static bool cannot_send(const struct sock *sk)
{
	return sk->sk_err || sk->sk_shutdown & SEND_SHUTDOWN || sk_to_hvsock(sk)->peer_shutdown & RCV_SHUTDOWN;
}

/* Waits until there is room or sending has become pointless. The caller holds the socket's lock. */
int hvsock_sendmsg_wait(struct sock *sk, long *timeout);
noinline int hvsock_sendmsg_wait(struct sock *sk, long *timeout)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	add_wait_queue(sk_sleep(sk), &wait);
	sk_wait_event(sk, timeout, hvsock_can_write(sk_to_hvsock(sk)) || cannot_send(sk), &wait);
	remove_wait_queue(sk_sleep(sk), &wait);
	return signal_pending(current) ? sock_intr_errno(*timeout) : 0;
}

noinline int hvsock_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct sock *sk = sock->sk;
	struct hvsock_sock *hvsk = sk_to_hvsock(sk);
	ssize_t sent = 0, n = 0;
	long timeout;

	if (msg->msg_flags & MSG_OOB)
		return -EOPNOTSUPP;
	lock_sock(sk);
	timeout = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	if (sock->state != SS_CONNECTED)
		n = msg->msg_namelen ? -EOPNOTSUPP : -ENOTCONN;
	else if (msg->msg_namelen)
		n = -EISCONN;
	while (!n && sent < len) {
		if (cannot_send(sk)) {
			n = sock_error(sk) ?: -EPIPE;
		} else if (!hvsock_can_write(hvsk)) {
			n = timeout ? hvsock_sendmsg_wait(sk, &timeout) : -EAGAIN;
		} else {
			n = hvsock_send_data(hvsk, msg, len - sent);
			if (n > 0) {
				sent += n;
				n = 0;
			}
		}
	}
	release_sock(sk);
	return sent ?: n;
}

/* Nothing more will come. What is in the ring comes first. */
static bool at_end(const struct sock *sk)
{
	return sk->sk_err || sk->sk_shutdown & RCV_SHUTDOWN || sk_to_hvsock(sk)->peer_shutdown & SEND_SHUTDOWN;
}

/* Waits until there is something to read, or the end. The caller holds the socket's lock. */
int hvsock_recvmsg_wait(struct sock *sk, long *timeout);
noinline int hvsock_recvmsg_wait(struct sock *sk, long *timeout)
{
	DEFINE_WAIT_FUNC(wait, woken_wake_function);

	add_wait_queue(sk_sleep(sk), &wait);
	sk_wait_event(sk, timeout, hvsock_can_read(sk_to_hvsock(sk)) || at_end(sk), &wait);
	remove_wait_queue(sk_sleep(sk), &wait);
	return signal_pending(current) ? sock_intr_errno(*timeout) : 0;
}

noinline int hvsock_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags)
{
	struct sock *sk = sock->sk;
	struct hvsock_sock *hvsk = sk_to_hvsock(sk);
	ssize_t got = 0, n = 0;
	size_t target;
	long timeout;

	if (flags & (MSG_OOB | MSG_PEEK))
		return -EOPNOTSUPP;
	lock_sock(sk);
	timeout = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	target = sock_rcvlowat(sk, flags & MSG_WAITALL, len);
	if (sock->state != SS_CONNECTED)
		n = -ENOTCONN;
	while (!n && got < len) {
		if (!(sk->sk_shutdown & RCV_SHUTDOWN) && hvsock_can_read(hvsk)) {
			n = hvsock_recv_data(hvsk, msg, len - got, flags);
			if (n > 0) {
				got += n;
				n = 0;
			}
		} else if (got >= target) {
			break;
		} else if (at_end(sk)) {
			n = sock_error(sk);
			break;
		} else {
			n = timeout ? hvsock_recvmsg_wait(sk, &timeout) : -EAGAIN;
		}
	}
	release_sock(sk);
	return got ?: n;
}
