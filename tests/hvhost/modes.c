// SPDX-License-Identifier: GPL-2.0
/* What the host does with an open channel, and what it notes while it does. */
#include <linux/minmax.h>
#include <linux/string.h>
#include "hvhost.h"

const char * const hv_mode_name[HV_MODES] = {
	"echo", "sink", "source", "stall", "slow", "ignore", "linger", "refuse",
	"hold", "corrupt", "delay", "noopen", "reject", "get",
};

#define TURN_PACKETS 256		/* then others get a turn */
#define POLL_NS (2 * NSEC_PER_MSEC)	/* how late a full ring is noticed */
#define RECHECK_NS (50 * NSEC_PER_MSEC)
#define SLOW_MS 10
#define SOURCE_PACKET 8192
#define NONSENSE 0xfffffff0u		/* no ring is that large */

static const u8 pattern[SOURCE_PACKET];
static const char request[] = "GET / HTTP/1.0\r\n\r\n";

static void interrupt(struct hv_chan *c)
{
	c->conn->irqs += hv_interrupt_channel(c->cpu, c->relid);
}

/*
 * Occupancy as the host sees it. A guest signals only the first packet into an empty ring, so a ring is found full
 * when the host next looks: at its turns and, as long as data waits in the ring, every POLL_NS. The end is exact,
 * since only the host makes room.
 */
void hv_note(struct hv_chan *c)
{
	struct hv_conn *k = c->conn;
	int used;

	if (c->phase != HV_PH_OPEN || c->corrupted)
		return;
	used = hv_in_used(&c->in);
	if (used >= 0)
		k->in_used = used;
	used = hv_out_used(&c->out);
	if (used < 0)
		return;
	k->out_used = used;
	k->out_used_max = max_t(u32, k->out_used_max, used);
	if (c->out.size - used > HV_FULL) {
		if (k->full_since_ns)
			k->full_ns += ktime_get_ns() - k->full_since_ns;
		k->full_since_ns = 0;
	} else if (!k->full_since_ns) {
		k->full_since_ns = ktime_get_ns();
	}
}

static bool send(struct hv_chan *c, const void *data, u32 len)
{
	bool was_empty;

	if (!hv_ring_put(&c->in, data, len, &was_empty))
		return false;
	if (len) {
		c->conn->tx_bytes += len;
		c->conn->tx_packets++;
	} else {
		c->conn->tx_fin = true;
		c->conn->host_fin_ns = ktime_get_ns();
		c->conn->state = HV_CLOSING;
	}
	if (was_empty)
		interrupt(c);
	return true;
}

/* Bytes asked for by `write` or left of a source, then a FIN that was asked for. False: the ring is full. */
static bool host_writes(struct hv_chan *c, u32 *budget)
{
	if (c->conn->tx_fin)
		return true;
	if (c->mode == HV_GET && !c->arg) {
		if (!send(c, request, sizeof(request) - 1))
			return false;
		c->arg = 1;
	}
	if (c->mode == HV_SOURCE && c->arg) {
		c->to_write += c->arg;
		c->arg = 0;
		c->want_fin = true;
	} else if (c->mode == HV_SOURCE && !c->to_write) {
		c->want_fin = true;
	}
	while (c->to_write) {
		u32 len = min_t(u64, c->to_write, SOURCE_PACKET);

		if (!*budget || !send(c, pattern, len))
			return false;
		c->to_write -= len;
		--*budget;
	}
	return !c->want_fin || send(c, NULL, 0);
}

/*
 * Indices no ring can have, after the first packet with data. arg is a sum of 1 out.read_index, 2 out.write_index,
 * 4 in.read_index, 8 in.write_index; 0 means 1, which every kernel survives. All become 0xfffffff0. `release` puts
 * proper ones back; after 2 or 8 the guest may have lost its own place by then.
 */
static void corrupt(struct hv_chan *c)
{
	u64 which = c->arg ?: 1;

	c->saved_out_write = READ_ONCE(c->out.rb->write_index);
	c->saved_in_read = READ_ONCE(c->in.rb->read_index);
	c->corrupted = true;
	if (which & 1)
		WRITE_ONCE(c->out.rb->read_index, NONSENSE);
	if (which & 2)
		WRITE_ONCE(c->out.rb->write_index, NONSENSE);
	if (which & 4)
		WRITE_ONCE(c->in.rb->read_index, NONSENSE);
	if (which & 8)
		WRITE_ONCE(c->in.rb->write_index, NONSENSE);
	interrupt(c);
}

static void restore(struct hv_chan *c)
{
	WRITE_ONCE(c->out.rb->read_index, c->out.index);
	WRITE_ONCE(c->in.rb->write_index, c->in.index);
	/* The guest's own indices: only if it has not written them since. */
	cmpxchg(&c->out.rb->write_index, NONSENSE, c->saved_out_write);
	cmpxchg(&c->in.rb->read_index, NONSENSE, c->saved_in_read);
	c->corrupted = false;
	interrupt(c);
}

static bool echoes(enum hv_mode mode)
{
	return mode == HV_ECHO || mode == HV_HOLD || mode == HV_CORRUPT || mode == HV_DELAY || mode == HV_NOOPEN;
}

/* Takes one packet from the guest. False: there is none, it must wait, or it cannot be echoed yet. */
static bool host_reads(struct hv_chan *c)
{
	struct hv_conn *k = c->conn;
	struct hv_packet p;
	u64 now;

	if (c->mode == HV_STALL || c->corrupted || hv_ring_peek(&c->out, &p) <= 0)
		return false;
	now = ktime_get_ns();
	if (c->mode == HV_SLOW) {
		if (now < c->next_read)
			return false;
		c->next_read = now + (c->arg ?: SLOW_MS) * NSEC_PER_MSEC;
	}
	if (echoes(c->mode) && !k->tx_fin && !send(c, p.data, p.len))
		return false;
	if (p.len) {
		k->rx_bytes += p.len;
		k->rx_packets++;
	} else if (!k->rx_fin) {
		k->rx_fin = true;
		k->guest_fin_ns = now;
		k->state = HV_CLOSING;
	}
	if (hv_ring_consume(&c->out, p.total))
		interrupt(c);
	if (c->mode == HV_CORRUPT && p.len)
		corrupt(c);
	return true;
}

/*
 * When to look next without being signalled. As long as data waits in the ring, often enough to see it fill up; once
 * it is full, or our own ring is, the guest's signal is what counts and this is only a safety net.
 */
static void look_again(struct hv_chan *c, bool wrote_all)
{
	const struct hv_conn *k = c->conn;
	u64 now = ktime_get_ns(), at = U64_MAX;

	if (c->corrupted)
		return;
	if (k->out_used && !k->full_since_ns)
		at = now + POLL_NS;
	else if (!wrote_all || (k->out_used && c->mode != HV_STALL))
		at = now + RECHECK_NS;
	if (k->out_used && c->mode == HV_SLOW)
		at = min(at, c->next_read);
	if (at != U64_MAX)
		hv_timer(c, max(at, now + 1));
}

void hv_turn(struct hv_chan *c)
{
	u32 budget = TURN_PACKETS;
	bool done;

	if (c->phase != HV_PH_OPEN || c->corrupted)
		return;
	hv_note(c);
	hv_timer_cancel(c);
	done = host_writes(c, &budget);
	while (budget && host_reads(c))
		budget--;
	hv_note(c);
	if (c->conn->rx_fin && c->mode != HV_LINGER) {
		hv_rescind(c);		/* both ends are done: the host takes the channel back */
		return;
	}
	if (!budget) {
		set_bit(c->relid, hv_dirty);
		hv_kick();
	} else {
		look_again(c, done);
	}
}

/* `release`: what was held back goes on. A stalled channel is drained, a spoilt or unanswered one echoes. */
void hv_release(struct hv_chan *c)
{
	if (c->phase == HV_PH_OPENING && c->mode == HV_NOOPEN)
		hv_open_result(c, 0);
	else if (c->mode == HV_STALL)
		c->mode = c->conn->mode = HV_SINK;
	else if (c->phase == HV_PH_OPEN && c->corrupted)
		restore(c);
	else
		return;
	if (c->mode == HV_CORRUPT)
		c->mode = c->conn->mode = HV_ECHO;
	set_bit(c->relid, hv_dirty);
}
