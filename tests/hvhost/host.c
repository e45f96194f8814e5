// SPDX-License-Identifier: GPL-2.0
/* Channels: relids, offers, open results, rescinds, and the time each of them waits for. */
#include <linux/bitmap.h>
#include <linux/slab.h>
#include "hvhost.h"

LIST_HEAD(hv_chans);
DEFINE_XARRAY(hv_gpadls);		/* gpadl handle -> channel */
u64 hv_refuse_delay_ns = 500 * NSEC_PER_MSEC;
atomic_t hv_fail_teardowns = ATOMIC_INIT(0);

static struct hv_chan *by_relid[HV_RELIDS];
static DECLARE_BITMAP(relids, HV_RELIDS);
static LIST_HEAD(timers);
static u64 next_deadline = U64_MAX;
static u64 offer_seq, opened_seq, opened_ns;	/* the youngest offer the guest opened, and when */

struct hv_chan *hv_by_relid(u32 relid)
{
	return relid < HV_RELIDS ? by_relid[relid] : NULL;
}

/* ---------- timers ---------- */

void hv_timer(struct hv_chan *c, u64 deadline)
{
	c->deadline = deadline;
	if (list_empty(&c->timer))
		list_add_tail(&c->timer, &timers);
	next_deadline = min(next_deadline, deadline);
}

void hv_timer_cancel(struct hv_chan *c)
{
	list_del_init(&c->timer);
}

u64 hv_next_deadline(void)
{
	return next_deadline;
}

/* ---------- offers ---------- */

static void post_offer(struct hv_chan *c)
{
	struct vmbus_channel_offer_channel o = {
		.header.msgtype = CHANNELMSG_OFFERCHANNEL,
		.child_relid = c->relid,
		.is_dedicated_interrupt = 1,
		.connection_id = HV_CONNECTION_ID + c->relid,
	};

	o.offer.if_type = c->type;
	o.offer.if_instance = c->inst;
	o.offer.chn_flags = VMBUS_CHANNEL_TLNPI_PROVIDER_OFFER | VMBUS_CHANNEL_NAMED_PIPE_MODE;
	o.offer.u.pipe.user_def[0] = c->conn->dir == HV_FROM_HOST;
	c->phase = HV_PH_OFFERED;
	c->seq = ++offer_seq;
	c->conn->offered_ns = ktime_get_ns();
	hv_sums.offers++;
	c->port->offers++;
	hv_timer(c, c->conn->offered_ns + hv_refuse_delay_ns);
	hv_post(&o, sizeof(o));
}

/* A new channel for a connection, offered at once or (delay) after arg ms. The lowest free relid is taken. */
int hv_connect(const guid_t *type, const guid_t *inst, enum hv_dir dir, enum hv_mode mode, u64 arg,
	       struct hv_port *port)
{
	u32 relid = find_next_zero_bit(relids, HV_RELIDS, 1);
	struct hv_chan *c;

	if (relid >= HV_RELIDS) {
		hv_sums.dropped++;	/* as a host that has run out: nothing reaches the guest */
		return -ENOSPC;
	}
	c = kzalloc(sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	c->conn = hv_conn_new();
	if (!c->conn) {
		kfree(c);
		return -ENOMEM;
	}
	INIT_LIST_HEAD(&c->timer);
	list_add_tail(&c->node, &hv_chans);
	__set_bit(relid, relids);
	by_relid[relid] = c;
	hv_sums.live++;
	c->relid = c->conn->relid = relid;
	c->mode = c->conn->mode = mode;
	c->conn->dir = dir;
	c->port = port;
	c->arg = arg;
	c->type = *type;
	c->inst = *inst;
	/* if_type names the service, if_instance the other end; a port is the first four bytes of either. */
	memcpy(&c->conn->guest_port, dir == HV_FROM_HOST ? type : inst, 4);
	memcpy(&c->conn->host_port, dir == HV_FROM_HOST ? inst : type, 4);
	if (mode == HV_DELAY)
		hv_timer(c, ktime_get_ns() + arg * NSEC_PER_MSEC);
	else
		post_offer(c);
	return 0;
}

/*
 * The guest is opening this one. It takes offers one after the other, so it has dealt with all older ones.
 */
void hv_open_seen(struct hv_chan *c)
{
	opened_seq = max(opened_seq, c->seq);
	opened_ns = ktime_get_ns();
	if (c->phase == HV_PH_OFFERED)
		hv_timer_cancel(c);
}

/*
 * hv_sock turns an offer down by not opening it: a host gives up after a while. Not before the guest has come to
 * it: while it still works through a queue of older offers, silence means nothing.
 */
static void refuse(struct hv_chan *c, u64 now)
{
	u64 patience = opened_ns + hv_refuse_delay_ns;

	if (opened_seq < c->seq && now < patience) {
		hv_timer(c, patience);
		return;
	}
	c->conn->refused = true;
	hv_sums.refused++;
	c->port->refused++;
	hv_rescind(c);
}

/* ---------- open, close, rescind ---------- */

void hv_open_result(struct hv_chan *c, u32 status)
{
	struct vmbus_channel_open_result r = {
		.header.msgtype = CHANNELMSG_OPENCHANNEL_RESULT,
		.child_relid = c->relid, .openid = c->openid, .status = status };
	u32 n = c->in_page;

	if (!status && (n < 2 || n + 2 > c->npfn || c->got != c->npfn || !hv_ring_map(&c->out, c->pfn, n) ||
			!hv_ring_map(&c->in, c->pfn + n, c->npfn - n))) {
		hv_ring_unmap(&c->out);
		r.status = 1;
	}
	if (r.status) {			/* the guest drops it; the host takes the offer back later */
		c->phase = HV_PH_OFFERED;
		hv_timer(c, ktime_get_ns() + hv_refuse_delay_ns);
	} else {
		c->in.rb->feature_bits.value = 1;	/* tell us when there is room (feat_pending_send_sz) */
		c->phase = HV_PH_OPEN;
		c->conn->state = HV_OPEN;
		c->conn->opened_ns = ktime_get_ns();
		c->conn->out_size = c->out.size;
		c->conn->in_size = c->in.size;
		set_bit(c->relid, hv_dirty);
	}
	hv_post(&r, sizeof(r));
}

/* Takes our hands off the guest's memory: it may be freed any time after the message that follows. */
void hv_close(struct hv_chan *c)
{
	if (c->phase == HV_PH_OPEN) {
		hv_note(c);
		if (c->conn->full_since_ns)
			c->conn->full_ns += ktime_get_ns() - c->conn->full_since_ns;
		c->conn->full_since_ns = 0;
	}
	if (c->conn->state != HV_GONE)
		c->conn->state = HV_CLOSING;
	c->phase = HV_PH_CLOSED;
	hv_timer_cancel(c);
	hv_ring_unmap(&c->out);
	hv_ring_unmap(&c->in);
}

void hv_rescind(struct hv_chan *c)
{
	struct vmbus_channel_rescind_offer r = {
		.header.msgtype = CHANNELMSG_RESCIND_CHANNELOFFER, .child_relid = c->relid };

	if (c->rescinded)
		return;
	if (c->phase == HV_PH_DELAYED) {	/* never offered: the guest knows nothing of it */
		hv_free(c);
		return;
	}
	hv_close(c);
	c->rescinded = true;
	c->conn->rescinded_ns = ktime_get_ns();
	hv_sums.rescinds++;
	hv_post(&r, sizeof(r));
}

/* The relid may be used again; only the ledger remembers the connection. */
void hv_free(struct hv_chan *c)
{
	hv_close(c);
	c->conn->state = HV_GONE;
	c->conn->released_ns = ktime_get_ns();
	hv_sums.live--;
	if (c->gpadl)
		xa_erase(&hv_gpadls, c->gpadl);
	by_relid[c->relid] = NULL;
	__clear_bit(c->relid, relids);
	clear_bit(c->relid, hv_dirty);
	list_del(&c->node);
	kvfree(c->pfn);
	kfree(c);
}

/* hv_vmbus is unloading, or has come back: whatever it knew of channels is gone. */
void hv_free_all(void)
{
	struct hv_chan *c, *tmp;

	list_for_each_entry_safe(c, tmp, &hv_chans, node)
		hv_free(c);
	opened_seq = opened_ns = 0;
}

static void expire(struct hv_chan *c, u64 now)
{
	switch (c->phase) {
	case HV_PH_DELAYED:
		post_offer(c);
		break;
	case HV_PH_OFFERED:
		refuse(c, now);
		break;
	case HV_PH_OPENING:
		hv_open_result(c, 0);
		break;
	case HV_PH_OPEN:
		hv_turn(c);
		break;
	case HV_PH_CLOSED:
		break;
	}
}

/* Costs nothing until the earliest deadline has passed; then one walk over the channels that wait. */
u64 hv_run_timers(void)
{
	u64 now = ktime_get_ns();
	struct hv_chan *c, *tmp;
	LIST_HEAD(due);

	if (now < next_deadline)
		return next_deadline;
	next_deadline = U64_MAX;
	list_for_each_entry_safe(c, tmp, &timers, timer) {
		if (c->deadline <= now)
			list_move_tail(&c->timer, &due);
		else
			next_deadline = min(next_deadline, c->deadline);
	}
	while (!list_empty(&due)) {
		c = list_first_entry(&due, struct hv_chan, timer);
		list_del_init(&c->timer);
		expire(c, now);
	}
	return next_deadline;
}
