// SPDX-License-Identifier: GPL-2.0
/*
 * Finding sockets: the bound one by its service GUID, on each open and bind;
 * the connected one by its channel, on each rescind. The parameter `lookup`
 * says how, and is the only difference:
 *   list     one list of each kind, as in the patch
 *   hash     251 buckets of each kind, by the port (the GUID's first four
 *            bytes) and by the channel's relid
 *   pointer  hash for the bound ones; the connected one is kept with the
 *            channel, as hv_sock does today
 * All three are the same lists and the same walk: of one bucket, of 251, or none.
 */
#include <linux/ktime.h>
#include "af_hyperv.h"

enum hvsock_lookup hvsock_lookup;
const char * const hvsock_lookup_name[] = { "list", "hash", "pointer" };
struct hvsock_count hvsock_bound_count, hvsock_connected_count;
u32 hvsock_bound, hvsock_connected;

static struct list_head bound[HVSOCK_BUCKETS], connected[HVSOCK_BUCKETS];

void hvsock_lookup_start(void)
{
	int i;

	for (i = 0; i < HVSOCK_BUCKETS; i++) {
		INIT_LIST_HEAD(&bound[i]);
		INIT_LIST_HEAD(&connected[i]);
	}
}

static struct list_head *bound_bucket(const guid_t *service)
{
	__le32 port;

	memcpy(&port, service, sizeof(port));
	return &bound[hvsock_lookup == HVSOCK_LIST ? 0 : le32_to_cpu(port) % HVSOCK_BUCKETS];
}

static struct list_head *connected_bucket(const struct vmbus_channel *channel)
{
	return &connected[hvsock_lookup == HVSOCK_LIST ? 0 : channel->offermsg.child_relid % HVSOCK_BUCKETS];
}

static struct hvsock_sock *find_bound(const guid_t *service, u64 *nodes)
{
	struct list_head *bucket = bound_bucket(service);
	struct hvsock_sock *hvsk;

	list_for_each_entry(hvsk, bucket, bound_node) {
		(*nodes)++;
		if (guid_equal(&hvsk->local_addr.shv_service_guid, service))
			return hvsk;
	}
	return NULL;
}

static struct hvsock_sock *find_connected(const struct vmbus_channel *channel, u64 *nodes)
{
	struct hvsock_sock *hvsk;

	if (hvsock_lookup == HVSOCK_POINTER) {
		hvsk = get_per_channel_state((struct vmbus_channel *)channel);
		(*nodes)++;
		return list_empty(&hvsk->connected_node) ? NULL : hvsk;
	}
	list_for_each_entry(hvsk, connected_bucket(channel), connected_node) {
		(*nodes)++;
		if (hvsk->pipe->channel == channel)
			return hvsk;
	}
	return NULL;
}

static void count(struct hvsock_count *count, u64 nodes, u64 begin)
{
	count->lookups++;
	count->nodes += nodes;
	count->ns += ktime_get_ns() - begin;
}

/* The socket bound to `service`, or NULL. It cannot go away while the mutex is held. */
noinline struct sock *hvsock_find_bound_socket(const guid_t *service)
{
	u64 nodes = 0, begin = ktime_get_ns();
	struct hvsock_sock *hvsk = find_bound(service, &nodes);

	count(&hvsock_bound_count, nodes, begin);
	return hvsk ? &hvsk->sk : NULL;
}

/* The socket connected over `channel`, or NULL when it is closed already. */
noinline struct sock *hvsock_find_connected_socket_by_channel(const struct vmbus_channel *channel)
{
	u64 nodes = 0, begin = ktime_get_ns();
	struct hvsock_sock *hvsk = find_connected(channel, &nodes);

	count(&hvsock_connected_count, nodes, begin);
	return hvsk ? &hvsk->sk : NULL;
}

void hvsock_insert_bound(struct hvsock_sock *hvsk)
{
	sock_hold(&hvsk->sk);
	list_add(&hvsk->bound_node, bound_bucket(&hvsk->local_addr.shv_service_guid));
	hvsock_bound++;
}

/* The caller holds a further reference. */
void hvsock_remove_bound(struct hvsock_sock *hvsk)
{
	if (list_empty(&hvsk->bound_node))
		return;
	list_del_init(&hvsk->bound_node);
	hvsock_bound--;
	__sock_put(&hvsk->sk);
}

noinline void hvsock_insert_connected(struct hvsock_sock *hvsk)
{
	sock_hold(&hvsk->sk);
	list_add(&hvsk->connected_node, connected_bucket(hvsk->pipe->channel));
	hvsock_connected++;
}

/* The caller holds a further reference. */
void hvsock_remove_connected(struct hvsock_sock *hvsk)
{
	if (list_empty(&hvsk->connected_node))
		return;
	list_del_init(&hvsk->connected_node);
	hvsock_connected--;
	__sock_put(&hvsk->sk);
}
