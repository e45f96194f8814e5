// SPDX-License-Identifier: GPL-2.0
/*
 * One VMBus ring from the host's end. `out` is what the guest writes and we
 * read, `in` the other way round. Our own index is kept privately; the guest's
 * is read once, checked, then used.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "hvhost.h"

struct pipe_header {
	__le32 type, size;
};

#define TRAILER 8
#define PACKET(len) (sizeof(struct vmpacket_descriptor) + ALIGN(sizeof(struct pipe_header) + (len), 8) + TRAILER)

void hv_ring_unmap(struct hv_ring *r)
{
	if (r->rb)
		vunmap(r->rb);
	r->rb = NULL;
}

/* Maps n pages, the header's first, and the data pages once more behind them: no packet ever wraps. */
bool hv_ring_map(struct hv_ring *r, const u64 *pfn, u32 n)
{
	struct page **pages = kvmalloc_array(2 * n, sizeof(*pages), GFP_KERNEL);
	u32 i;

	if (!pages)
		return false;
	for (i = 0; i < n; i++)
		pages[i] = pfn_to_page(pfn[i]);
	for (i = 1; i < n; i++)
		pages[n + i - 1] = pfn_to_page(pfn[i]);
	r->rb = vmap(pages, 2 * n - 1, VM_MAP, PAGE_KERNEL);
	r->size = (n - 1) * PAGE_SIZE;
	r->index = 0;
	kvfree(pages);
	return r->rb;
}

static int distance(const struct hv_ring *r, u32 write, u32 read)
{
	if (write >= r->size || read >= r->size || write & 7 || read & 7)
		return -1;
	return write >= read ? write - read : r->size - read + write;
}

/* Bytes the guest has written and we have not read; -1 when its index is nonsense. */
int hv_out_used(const struct hv_ring *r)
{
	return distance(r, READ_ONCE(r->rb->write_index), r->index);
}

/* Bytes we have written and the guest has not read; -1 when its index is nonsense. */
int hv_in_used(const struct hv_ring *r)
{
	return distance(r, r->index, READ_ONCE(r->rb->read_index));
}

/* The next packet of the guest: 1, 0 when there is none, -1 when it makes no sense. */
int hv_ring_peek(const struct hv_ring *r, struct hv_packet *p)
{
	const struct vmpacket_descriptor *d = (void *)(r->rb->buffer + r->index);
	const struct pipe_header *h;
	int used = hv_out_used(r);
	u32 len, off;

	if (used <= 0)
		return used;
	virt_rmb();	/* the packet is there before the index says so */
	len = READ_ONCE(d->len8) << 3;
	off = READ_ONCE(d->offset8) << 3;
	if (off < sizeof(*d) || off + sizeof(*h) > len || len + TRAILER > used)
		return -1;
	h = (void *)((u8 *)d + off);
	p->len = le32_to_cpu(READ_ONCE(h->size));
	p->total = len + TRAILER;
	p->data = h + 1;
	return p->len <= len - off - sizeof(*h) ? 1 : -1;
}

/* Gives the guest its space back; says whether it has asked to be told. */
bool hv_ring_consume(struct hv_ring *r, u32 total)
{
	int used = hv_out_used(r);
	u32 before = r->size - used, wanted;

	r->index = (r->index + total) % r->size;
	virt_mb();	/* read the packet before its space is free */
	WRITE_ONCE(r->rb->read_index, r->index);
	virt_mb();	/* publish before looking whether the guest waits */
	wanted = READ_ONCE(r->rb->pending_send_sz);
	return wanted && before <= wanted && before + total > wanted;
}

static bool put(struct hv_ring *r, const void *data, u32 len)
{
	u32 body = ALIGN(sizeof(struct pipe_header) + len, 8), write = r->index;
	struct vmpacket_descriptor *d = (void *)(r->rb->buffer + write);
	struct pipe_header *h = (void *)(d + 1);
	int used = hv_in_used(r);

	if (used < 0 || r->size - used <= PACKET(len))
		return false;
	*d = (struct vmpacket_descriptor){
		.type = VM_PKT_DATA_INBAND, .offset8 = sizeof(*d) >> 3, .len8 = (sizeof(*d) + body) >> 3 };
	*h = (struct pipe_header){ cpu_to_le32(1), cpu_to_le32(len) };
	if (len)
		memcpy(h + 1, data, len);
	*(u64 *)((u8 *)h + body) = (u64)write << 32;
	virt_mb();	/* the packet before the index */
	r->index = (write + PACKET(len)) % r->size;
	WRITE_ONCE(r->rb->write_index, r->index);
	virt_mb();	/* publish before looking whether the guest has read */
	return true;
}

/*
 * Sends one packet to the guest, or asks to be signalled when there is room.
 * *was_empty: the guest had read everything before it, so it wants an interrupt.
 */
bool hv_ring_put(struct hv_ring *r, const void *data, u32 len, bool *was_empty)
{
	u32 old = r->index;

	if (!put(r, data, len)) {
		WRITE_ONCE(r->rb->pending_send_sz, PACKET(len));
		virt_mb();	/* the guest may have read in between: look again after asking */
		if (!put(r, data, len))
			return false;
	}
	WRITE_ONCE(r->rb->pending_send_sz, 0);
	*was_empty = READ_ONCE(r->rb->read_index) == old;
	return true;
}
