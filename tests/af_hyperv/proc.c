// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/af_hyperv, one line: how sockets are found, how many there are, what finding them and the mutex took since the
 * module was loaded: lookups, sockets compared, nanoseconds. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "af_hyperv.h"

static int show(struct seq_file *m, void *unused)
{
	hvsock_lock_uncounted();
	seq_printf(m, "lookup=%s bound=%u connected=%u", hvsock_lookup_name[hvsock_lookup], hvsock_bound,
		   hvsock_connected);
	seq_printf(m, " bound_lookups=%llu bound_nodes=%llu connected_lookups=%llu connected_nodes=%llu",
		   hvsock_bound_count.lookups, hvsock_bound_count.nodes, hvsock_connected_count.lookups,
		   hvsock_connected_count.nodes);
	seq_printf(m, " bound_ns=%llu connected_ns=%llu", hvsock_bound_count.ns, hvsock_connected_count.ns);
	seq_printf(m, " locks=%llu contended=%llu wait_ns=%llu held_ns=%llu\n", hvsock_mutex_count.locks,
		   hvsock_mutex_count.contended, hvsock_mutex_count.wait_ns, hvsock_mutex_count.held_ns);
	hvsock_unlock_uncounted();
	return 0;
}

int hvsock_proc_start(void)
{
	return proc_create_single("af_hyperv", 0444, NULL, show) ? 0 : -ENOMEM;
}

void hvsock_proc_stop(void)
{
	remove_proc_entry("af_hyperv", NULL);
}
