// SPDX-License-Identifier: GPL-2.0
/* The VMBus messages the guest sends, and the answers. */
#include <linux/slab.h>
#include "hvhost.h"

#define PAYLOAD_HAS(m, p) ((const u8 *)(p) <= (m)->data + (m)->len)
#define MESSAGE_CONNECTION 4		/* MESSAGE_CONNECTION, private to hv_vmbus */
#define MAX_PFNS 1024			/* two rings of 256 KiB take 130 */

static void answer(u32 msgtype)
{
	struct vmbus_channel_message_header r = { .msgtype = msgtype };

	hv_post(&r, sizeof(r));
}

static void initiate_contact(void)
{
	struct vmbus_channel_version_response r = {
		.header.msgtype = CHANNELMSG_VERSION_RESPONSE,
		.version_supported = 1,
		.msg_conn_id = MESSAGE_CONNECTION,
	};

	hv_free_all();
	hv_post(&r, sizeof(r));
}

static void connect_request(const struct vmbus_channel_tl_connect_request *q)
{
	struct hv_port *p;
	u32 port;

	memcpy(&port, &q->host_service_id, sizeof(port));
	p = hv_port_get(HV_TO_HOST, port);
	if (!p)
		return;
	p->connect_requests++;
	if (p->mode == HV_IGNORE || p->mode == HV_REJECT) {
		p->ignored++;
		hv_sums.ignored++;
		if (p->mode == HV_REJECT)
			answer(CHANNELMSG_TL_CONNECT_RESULT);
		return;
	}
	hv_connect(&q->host_service_id, &q->guest_endpoint_id, HV_TO_HOST, p->mode, p->arg, p);
}

static void gpadl_done(struct hv_chan *c)
{
	struct vmbus_channel_gpadl_created r = {
		.header.msgtype = CHANNELMSG_GPADL_CREATED, .child_relid = c->relid, .gpadl = c->gpadl };

	if (c->got == c->npfn)
		hv_post(&r, sizeof(r));
}

static void gpadl_header(const struct hv_inmsg *m, const struct vmbus_channel_gpadl_header *q)
{
	struct hv_chan *c = hv_by_relid(q->child_relid);
	u32 i, n = (q->range_buflen - sizeof(struct gpa_range)) / sizeof(u64);

	if (!c || n > MAX_PFNS)
		return;
	hv_open_seen(c);
	if (c->gpadl)
		xa_erase(&hv_gpadls, c->gpadl);
	kvfree(c->pfn);
	c->got = 0;
	c->npfn = n;
	c->gpadl = q->gpadl;
	c->pfn = kvcalloc(n, sizeof(u64), GFP_KERNEL);
	if (!c->pfn || xa_err(xa_store(&hv_gpadls, c->gpadl, c, GFP_KERNEL))) {
		c->npfn = 0;
		return;
	}
	for (i = 0; i < n && PAYLOAD_HAS(m, &q->range[0].pfn_array[i + 1]); i++)
		c->pfn[c->got++] = q->range[0].pfn_array[i];
	gpadl_done(c);
}

static void gpadl_body(const struct hv_inmsg *m, const struct vmbus_channel_gpadl_body *q)
{
	struct hv_chan *c = xa_load(&hv_gpadls, q->gpadl);
	u32 i;

	if (!c || c->got == c->npfn)
		return;
	for (i = 0; c->got < c->npfn && PAYLOAD_HAS(m, &q->pfn[i + 1]); i++)
		c->pfn[c->got++] = q->pfn[i];
	gpadl_done(c);
}

static void gpadl_teardown(const struct vmbus_channel_gpadl_teardown *q)
{
	struct vmbus_channel_gpadl_torndown r = {
		.header.msgtype = CHANNELMSG_GPADL_TORNDOWN, .gpadl = q->gpadl };
	struct hv_chan *c = xa_load(&hv_gpadls, q->gpadl);

	if (c) {
		if (c->phase == HV_PH_OPEN)
			hv_close(c);	/* the pages go away whatever came before */
		xa_erase(&hv_gpadls, q->gpadl);
		c->gpadl = c->npfn = c->got = 0;
	}
	hv_post(&r, sizeof(r));
}

static void open_channel(const struct vmbus_channel_open_channel *q)
{
	struct hv_chan *c = hv_by_relid(q->child_relid);

	if (!c || c->rescinded || c->phase != HV_PH_OFFERED)
		return;			/* the rescind ends the guest's wait */
	hv_open_seen(c);
	c->phase = HV_PH_OPENING;
	c->openid = q->openid;
	c->in_page = q->downstream_ringbuffer_pageoffset;
	c->cpu = q->target_vp < nr_cpu_ids && cpu_online(q->target_vp) ? q->target_vp : 0;
	if (c->mode == HV_HOLD)
		hv_timer(c, ktime_get_ns() + c->arg * NSEC_PER_MSEC);
	else if (c->mode != HV_NOOPEN)
		hv_open_result(c, c->mode == HV_REFUSE);
}

static void close_channel(const struct vmbus_channel_close_channel *q)
{
	struct hv_chan *c = hv_by_relid(q->child_relid);

	if (!c)
		return;
	hv_turn(c);			/* what it wrote last; may rescind */
	if (c->phase != HV_PH_CLOSED)
		hv_close(c);
}

static void modify_channel(const struct vmbus_channel_modifychannel *q)
{
	struct vmbus_channel_modifychannel_response r = {
		.header.msgtype = CHANNELMSG_MODIFYCHANNEL_RESPONSE, .child_relid = q->child_relid };
	struct hv_chan *c = hv_by_relid(q->child_relid);

	if (c && q->target_vp < nr_cpu_ids && cpu_online(q->target_vp))
		c->cpu = q->target_vp;
	hv_post(&r, sizeof(r));
}

static void relid_released(const struct vmbus_channel_relid_released *q)
{
	struct hv_chan *c = hv_by_relid(q->child_relid);

	if (!c)
		return;
	hv_sums.released++;
	hv_free(c);
}

void hv_guest_message(struct hv_inmsg *m)
{
	const struct vmbus_channel_message_header *header = (void *)m->data;

	switch (header->msgtype) {
	case CHANNELMSG_INITIATE_CONTACT:
		initiate_contact();
		break;
	case CHANNELMSG_REQUESTOFFERS:
		answer(CHANNELMSG_ALLOFFERS_DELIVERED);
		break;
	case CHANNELMSG_TL_CONNECT_REQUEST:
		connect_request((const void *)header);
		break;
	case CHANNELMSG_GPADL_HEADER:
		gpadl_header(m, (const void *)header);
		break;
	case CHANNELMSG_GPADL_BODY:
		gpadl_body(m, (const void *)header);
		break;
	case CHANNELMSG_GPADL_TEARDOWN:
		gpadl_teardown((const void *)header);
		break;
	case CHANNELMSG_OPENCHANNEL:
		open_channel((const void *)header);
		break;
	case CHANNELMSG_CLOSECHANNEL:
		close_channel((const void *)header);
		break;
	case CHANNELMSG_MODIFYCHANNEL:
		modify_channel((const void *)header);
		break;
	case CHANNELMSG_RELID_RELEASED:
		relid_released((const void *)header);
		break;
	case CHANNELMSG_UNLOAD:
		hv_free_all();
		answer(CHANNELMSG_UNLOAD_RESPONSE);
		break;
	default:
		pr_info("guest message %u ignored\n", header->msgtype);
	}
}
