// SPDX-License-Identifier: GPL-2.0
/* What happened: a record per connection and per service, in the order of their ids, kept until `reset`. */
#include <linux/slab.h>
#include "hvhost.h"

DEFINE_XARRAY(hv_conns);
DEFINE_XARRAY(hv_ports);
struct hv_sums hv_sums;
static u32 last_id;

struct hv_conn *hv_conn_new(void)
{
	struct hv_conn *k = kzalloc(sizeof(*k), GFP_KERNEL);

	if (!k)
		return NULL;
	k->id = ++last_id;
	if (xa_err(xa_store(&hv_conns, k->id, k, GFP_KERNEL))) {
		kfree(k);
		return NULL;
	}
	return k;
}

unsigned long hv_port_key(enum hv_dir dir, u32 port)
{
	return (unsigned long)dir << 32 | port;
}

/* A service the host has not been told about echoes. Entries last as long as the module. */
struct hv_port *hv_port_get(enum hv_dir dir, u32 port)
{
	unsigned long key = hv_port_key(dir, port);
	struct hv_port *p = xa_load(&hv_ports, key);

	if (p)
		return p;
	p = kzalloc(sizeof(*p), GFP_KERNEL);
	if (!p)
		return NULL;
	p->port = port;
	p->dir = dir;
	if (xa_err(xa_store(&hv_ports, key, p, GFP_KERNEL))) {
		kfree(p);
		return NULL;
	}
	return p;
}

/* Forgets connections that are gone and all faults, and zeroes all sums; modes and live connections stay as they are. */
void hv_reset(void)
{
	u32 live = hv_sums.live;
	struct hv_conn *k;
	struct hv_port *p;
	unsigned long i;

	xa_for_each(&hv_conns, i, k) {
		if (k->state == HV_GONE) {
			xa_erase(&hv_conns, i);
			kfree(k);
		}
	}
	xa_for_each(&hv_ports, i, p)
		p->connect_requests = p->offers = p->refused = p->ignored = 0;
	hv_sums = (struct hv_sums){ .live = live };
	hv_signals_reset();
	hv_inject_forget();
}
