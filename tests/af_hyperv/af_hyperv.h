/* SPDX-License-Identifier: GPL-2.0 */
/*
 * AF_HYPERV: Hyper-V sockets as a family of their own, as the patch of 2016
 * proposed them before they became a transport of AF_VSOCK. Written anew from
 * its description, over the stock hv_vmbus, for one purpose: to measure what
 * its choices cost. It takes the place of hv_sock.ko, which must not be loaded.
 *
 *   main.c     parameters, socket(), load and unload
 *   lock.c     the one mutex
 *   lookup.c   the bound and the connected sockets: list, hash or pointer
 *   socket.c   a socket's life: create, bind, shutdown, release, poll
 *   connect.c  the guest asks for a connection
 *   accept.c   the guest listens and accepts
 *   stream.c   sendmsg, recvmsg, and what they wait for
 *   ring.c     the two rings of a channel
 *   vmbus.c    offers and rescinds
 *   proc.c     /proc/af_hyperv: what the lookups did
 *
 * Locks. The mutex (hvsock_lock) guards both structures and is held from the lookup of an
 * open to its end, the wait for the host's answer included, as in the patch.
 * Inside it comes the socket's lock. So whoever holds a socket's lock must not
 * wait for the mutex.
 *
 * References to a socket: its file (or, before accept, nobody in particular)
 * holds the first; further ones are held by each structure it is in, by the
 * accept queue, by connect's timer, and by the channel from its opening until
 * its rescind has been dealt with. The socket's memory pins the module.
 *
 * Where it differs from the patch, for safety's sake: a rescind is dealt with
 * in a worker of ours (vmbus.c says why), the channel holds a reference, so
 * that close() does not wait for the host, and what is in the ring can be read
 * after a rescind.
 *
 * 43 is AF_SMC in kernels of today; smc.ko must not be loaded.
 */
#ifndef AF_HYPERV_H
#define AF_HYPERV_H

#include <linux/hyperv.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/socket.h>
#include <linux/types.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <net/sock.h>

#undef pr_fmt
#define pr_fmt(fmt) "af_hyperv: " fmt

/* ---------- what programs see ---------- */

#define AF_HYPERV 43
#define SHV_PROTO_RAW 1

struct sockaddr_hv {
	__kernel_sa_family_t shv_family;
	__le16 reserved;		/* must be zero */
	guid_t shv_vm_guid;		/* bind: any (zero); connect: the host, or zero */
	guid_t shv_service_guid;
};

/* ---------- inside ---------- */

/* Socket states: the numbers of the time, not TCP's. SS_* of linux/net.h are the others. */
#define SS_LISTEN 255

#define HVSOCK_MAX_BACKLOG 128
#define HVSOCK_BUCKETS 251		/* as vsock */
#define HVSOCK_RING_SIZE (5 * PAGE_SIZE)	/* each way, the header page included */
#define HVSOCK_MTU 16384		/* the host's largest payload */
#define HVSOCK_SEND_MAX 4096		/* ours */

struct hvsock_header {
	__le32 pkt_type, data_size;
};

#define HVSOCK_HEADERS (sizeof(struct vmpacket_descriptor) + sizeof(struct hvsock_header))
#define HVSOCK_TRAILER sizeof(u64)
#define HVSOCK_PKT_LEN(payload) (HVSOCK_HEADERS + ALIGN((payload), 8) + HVSOCK_TRAILER)

/* The two rings as the socket's calls use them; guarded by the socket's lock. */
struct hvsock_pipe {
	struct sock *sk;
	struct vmbus_channel *channel;	/* NULL until an open begins; then for the socket's life */
	struct vmpacket_descriptor *recv_desc;	/* the packet being read */
	u32 recv_data_len, recv_data_off;	/* its payload: not yet read, already read */
	bool fin_sent;
	struct {
		struct hvsock_header header;
		u8 data[HVSOCK_SEND_MAX];
	} send;
};

struct hvsock_sock {
	struct sock sk;			/* first */
	struct sockaddr_hv local_addr, remote_addr;
	struct list_head bound_node, connected_node;
	struct list_head accept_queue;	/* a listener's children; in a child its place there */
	struct delayed_work connect_work;
	struct work_struct close_work;
	u8 peer_shutdown;		/* what the host will no longer do */
	struct hvsock_pipe *pipe;
};

static inline struct hvsock_sock *sk_to_hvsock(const struct sock *sk)
{
	return (struct hvsock_sock *)sk;
}

extern struct workqueue_struct *hvsock_close_wq;

/* main.c: parameters */
extern uint hvsock_threshold;		/* writable: more than a packet of so many bytes fits */
extern uint hvsock_connect_timeout_ms;
extern const struct proto_ops hvsock_ops;

/* lock.c */
struct hvsock_mutex_count {
	u64 locks, contended;		/* contended: whoever came had to wait */
	u64 wait_ns, held_ns;
};
extern struct hvsock_mutex_count hvsock_mutex_count;	/* guarded by the mutex itself */

void hvsock_lock(void);
void hvsock_unlock(void);
void hvsock_lock_uncounted(void);
void hvsock_unlock_uncounted(void);

/* lookup.c: callers hold the mutex. */
enum hvsock_lookup { HVSOCK_LIST, HVSOCK_HASH, HVSOCK_POINTER };
extern enum hvsock_lookup hvsock_lookup;
extern const char * const hvsock_lookup_name[];

/* Guarded by the mutex, like the structures. */
struct hvsock_count {
	u64 lookups, nodes;		/* nodes: compared on the way, the one found included */
	u64 ns;				/* what the lookups took, two readings of the clock included */
};
extern struct hvsock_count hvsock_bound_count, hvsock_connected_count;
extern u32 hvsock_bound, hvsock_connected;	/* sockets in each structure */

void hvsock_lookup_start(void);
struct sock *hvsock_find_bound_socket(const guid_t *service);
struct sock *hvsock_find_connected_socket_by_channel(const struct vmbus_channel *channel);
void hvsock_insert_bound(struct hvsock_sock *hvsk);
void hvsock_remove_bound(struct hvsock_sock *hvsk);
void hvsock_insert_connected(struct hvsock_sock *hvsk);
void hvsock_remove_connected(struct hvsock_sock *hvsk);

/* socket.c */
extern struct proto hvsock_proto;
struct sock *hvsock_create_sock(struct net *net, struct socket *sock, gfp_t gfp, int kern);
int hvsock_check_address(const struct sockaddr *address, int len, bool to_host);
int hvsock_autobind(struct hvsock_sock *hvsk);
int hvsock_bind(struct socket *sock, struct sockaddr *address, int len);
int hvsock_getname(struct socket *sock, struct sockaddr *address, int peer);
int hvsock_shutdown(struct socket *sock, int how);
int hvsock_release(struct socket *sock);
__poll_t hvsock_poll(struct file *file, struct socket *sock, struct poll_table_struct *wait);

/* connect.c */
int hvsock_connect(struct socket *sock, struct sockaddr *address, int len, int flags);
void hvsock_connect_timeout(struct work_struct *work);

/* accept.c */
int hvsock_listen(struct socket *sock, int backlog);
int hvsock_accept_sock(struct socket *sock, struct socket *newsock, int flags);
void hvsock_enqueue_accept(struct sock *listener, struct sock *child);

/* stream.c */
int hvsock_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);
int hvsock_recvmsg(struct socket *sock, struct msghdr *msg, size_t len, int flags);

/* ring.c: but for the callback, callers hold the socket's lock. */
void hvsock_on_channel_cb(void *ctx);
bool hvsock_can_write(const struct hvsock_sock *hvsk);
bool hvsock_can_read(const struct hvsock_sock *hvsk);
ssize_t hvsock_send_data(struct hvsock_sock *hvsk, struct msghdr *msg, size_t len);
ssize_t hvsock_recv_data(struct hvsock_sock *hvsk, struct msghdr *msg, size_t len, int flags);
void hvsock_send_fin(struct hvsock_sock *hvsk);

/* vmbus.c */
void hvsock_close_work(struct work_struct *work);
int hvsock_vmbus_start(void);
void hvsock_vmbus_stop(void);

/* proc.c */
int hvsock_proc_start(void);
void hvsock_proc_stop(void);

#endif
