// SPDX-License-Identifier: GPL-2.0
/* Parameters, socket(), load and unload. */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include "af_hyperv.h"

#define THRESHOLD_MIN 64u		/* leaves room for a packet, and a FIN behind it */
#define THRESHOLD_MAX ((uint)(HVSOCK_RING_SIZE - PAGE_SIZE - HVSOCK_PKT_LEN(0) - sizeof(u64)))	/* an empty ring is writable */

struct workqueue_struct *hvsock_close_wq;

static char *lookup = "list";
module_param(lookup, charp, 0444);
MODULE_PARM_DESC(lookup, "how sockets are found: list (as in the patch), hash or pointer");

uint hvsock_threshold;
module_param_named(threshold, hvsock_threshold, uint, 0444);
MODULE_PARM_DESC(threshold, "writable means that more than a packet of so many bytes fits (default: a page)");

uint hvsock_connect_timeout_ms = 30000;
module_param_named(connect_timeout_ms, hvsock_connect_timeout_ms, uint, 0644);
MODULE_PARM_DESC(connect_timeout_ms, "how long connect() waits for the host (default 30000)");

static bool capable_only = true;
module_param(capable_only, bool, 0644);
MODULE_PARM_DESC(capable_only, "socket() wants CAP_SYS_ADMIN or CAP_NET_ADMIN (default Y, as in the patch)");

static int no_socketpair(struct socket *sock, struct socket *newsock)
{
	return -EOPNOTSUPP;
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
int hvsock_accept(struct socket *sock, struct socket *newsock, struct proto_accept_arg *arg);
noinline int hvsock_accept(struct socket *sock, struct socket *newsock, struct proto_accept_arg *arg)
{
	return hvsock_accept_sock(sock, newsock, arg->flags);
}
#else
int hvsock_accept(struct socket *sock, struct socket *newsock, int flags, bool kern);
noinline int hvsock_accept(struct socket *sock, struct socket *newsock, int flags, bool kern)
{
	return hvsock_accept_sock(sock, newsock, flags);
}
#endif

const struct proto_ops hvsock_ops = {
	.family = AF_HYPERV,
	.owner = THIS_MODULE,
	.release = hvsock_release,
	.bind = hvsock_bind,
	.connect = hvsock_connect,
	.socketpair = no_socketpair,
	.accept = hvsock_accept,
	.getname = hvsock_getname,
	.poll = hvsock_poll,
	.ioctl = sock_no_ioctl,
	.listen = hvsock_listen,
	.shutdown = hvsock_shutdown,
	.sendmsg = hvsock_sendmsg,
	.recvmsg = hvsock_recvmsg,
	.mmap = sock_no_mmap,
};

int hvsock_create(struct net *net, struct socket *sock, int protocol, int kern);
noinline int hvsock_create(struct net *net, struct socket *sock, int protocol, int kern)
{
	if (capable_only && !capable(CAP_SYS_ADMIN) && !capable(CAP_NET_ADMIN))
		return -EPERM;
	if (sock->type != SOCK_STREAM)
		return -ESOCKTNOSUPPORT;
	if (protocol != 0 && protocol != SHV_PROTO_RAW)
		return -EPROTONOSUPPORT;
	sock->ops = &hvsock_ops;
	sock->state = SS_UNCONNECTED;
	return hvsock_create_sock(net, sock, GFP_KERNEL, kern) ? 0 : -ENOMEM;
}

static const struct net_proto_family hvsock_family = {
	.family = AF_HYPERV, .create = hvsock_create, .owner = THIS_MODULE,
};

static int __init parameters(void)
{
	int i;

	for (i = HVSOCK_LIST; i <= HVSOCK_POINTER; i++)
		if (!strcmp(lookup, hvsock_lookup_name[i]))
			break;
	if (i > HVSOCK_POINTER) {
		pr_err("lookup=%s is none of list, hash, pointer\n", lookup);
		return -EINVAL;
	}
	hvsock_lookup = i;
	if (!hvsock_threshold)
		hvsock_threshold = PAGE_SIZE;
	if (hvsock_threshold < THRESHOLD_MIN || hvsock_threshold > THRESHOLD_MAX) {
		pr_err("threshold=%u is not within %u to %u\n", hvsock_threshold, THRESHOLD_MIN, THRESHOLD_MAX);
		return -EINVAL;
	}
	return 0;
}

static int __init af_hyperv_init(void)
{
	int err = parameters();

	if (err)
		return err;
	hvsock_lookup_start();
	hvsock_close_wq = alloc_ordered_workqueue("af_hyperv_close", 0);
	if (!hvsock_close_wq)
		return -ENOMEM;
	err = hvsock_proc_start();
	if (err)
		goto no_proc;
	err = proto_register(&hvsock_proto, 1);
	if (err)
		goto no_proto;
	err = sock_register(&hvsock_family);
	if (err) {
		pr_err("family %d is taken (AF_SMC?): error %d\n", AF_HYPERV, err);
		goto no_family;
	}
	err = hvsock_vmbus_start();
	if (err) {
		pr_err("no VMBus: error %d\n", err);
		goto no_vmbus;
	}
	pr_info("lookup=%s threshold=%u\n", lookup, hvsock_threshold);
	return 0;

no_vmbus:
	sock_unregister(AF_HYPERV);
no_family:
	proto_unregister(&hvsock_proto);
no_proto:
	hvsock_proc_stop();
no_proc:
	destroy_workqueue(hvsock_close_wq);
	return err;
}
module_init(af_hyperv_init);

/* Runs only when no socket is left, not even one that waits for its rescind: each holds the module. */
static void __exit af_hyperv_exit(void)
{
	hvsock_vmbus_stop();
	sock_unregister(AF_HYPERV);
	destroy_workqueue(hvsock_close_wq);
	hvsock_proc_stop();
	/* Whoever dropped the last socket, in a worker or a timer, may still be on its way out of our code. */
	synchronize_rcu_tasks();
	proto_unregister(&hvsock_proto);
}
module_exit(af_hyperv_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("AF_HYPERV as proposed in 2016, for measuring what its lookups cost; takes hv_sock's place");
