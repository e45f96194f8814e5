// SPDX-License-Identifier: GPL-2.0
/* /proc/af_hyperv, one line: how sockets are found, how many there are, what finding them took since the module was loaded. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "af_hyperv.h"

static int show(struct seq_file *m, void *unused)
{
	mutex_lock(&hvsock_mutex);
	seq_printf(m, "lookup=%s bound=%u connected=%u", hvsock_lookup_name[hvsock_lookup], hvsock_bound,
		   hvsock_connected);
	seq_printf(m, " bound_lookups=%llu bound_nodes=%llu connected_lookups=%llu connected_nodes=%llu\n",
		   hvsock_bound_count.lookups, hvsock_bound_count.nodes, hvsock_connected_count.lookups,
		   hvsock_connected_count.nodes);
	mutex_unlock(&hvsock_mutex);
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
