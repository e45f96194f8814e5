// SPDX-License-Identifier: GPL-2.0
/*
 * /proc/hvhost. Reading prints the ledger: a `host` line, a `fault` line per
 * fault, a `port` line per service, a `conn` line per connection. Writing gives one command:
 *   mode PORT MODE [ARG]                  what a service of the host plays
 *   connect GUESTPORT MODE [ARG] [COUNT]  the host connects to the guest
 *   foreign GUESTPORT                     the same with a service GUID that is not vsock's
 *   release|rescind|fin [PORT]            all live connections, or one service's
 *   write BYTES [PORT]                    the host sends
 *   refuse_delay MS                       until an unopened offer is taken back
 *   fail_teardowns N                      turn away the next N messages that give a ring back
 *   fail|delay|pause|nest|mend ...        faults of the guest's kernel, see inject.c
 *   reset                                 forget what is gone and all faults, zero the sums
 */
#include <linux/mm.h>
#include <linux/proc_fs.h>
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include "hvhost.h"

#define READ_SIZE (64 << 10)		/* at a time, so that 10,000 lines do not take 1,000 reads */
#define FIRST_PORT 1ll			/* positions: 0 the host, then services by key, then connections by id */
#define FIRST_CONN (1ll << 40)

static const char * const state_name[] = { "offered", "open", "closing", "gone" };
static const char * const dir_name[] = { "to_host", "from_host" };

/* ---------- reading ---------- */

static void *locate(loff_t *pos)
{
	unsigned long i;
	void *p;

	if (*pos == 0)
		return SEQ_START_TOKEN;
	if (*pos < FIRST_CONN) {
		i = *pos - FIRST_PORT;
		p = xa_find(&hv_ports, &i, ULONG_MAX, XA_PRESENT);
		*pos = p ? FIRST_PORT + i : FIRST_CONN;
		if (p)
			return p;
	}
	i = *pos - FIRST_CONN;
	p = xa_find(&hv_conns, &i, ULONG_MAX, XA_PRESENT);
	if (p)
		*pos = FIRST_CONN + i;
	return p;
}

static void *start(struct seq_file *m, loff_t *pos)
{
	void *p;

	mutex_lock(&hv_lock);
	p = locate(pos);
	*(loff_t *)m->private = *pos;
	return p;
}

static void *next(struct seq_file *m, void *v, loff_t *pos)
{
	void *p;

	++*pos;
	p = locate(pos);
	*(loff_t *)m->private = *pos;
	return p;
}

static void stop(struct seq_file *m, void *v)
{
	mutex_unlock(&hv_lock);
}

static void show_host(struct seq_file *m)
{
	const struct hv_sums *s = &hv_sums;

	seq_printf(m, "host offers=%llu refused=%llu ignored=%llu rescinds=%llu released=%llu messages=%llu",
		   s->offers, s->refused, s->ignored, s->rescinds, s->released, s->messages);
	seq_printf(m, " signals=%llu dropped=%llu live=%u now_ns=%llu\n", hv_signals(), s->dropped, s->live,
		   ktime_get_ns());
	hv_inject_show(m);
}

static void show_port(struct seq_file *m, const struct hv_port *p)
{
	seq_printf(m, "port port=%u dir=%s mode=%s arg=%llu connect_requests=%llu offers=%llu refused=%llu ignored=%llu\n",
		   p->port, dir_name[p->dir], hv_mode_name[p->mode], p->arg, p->connect_requests, p->offers,
		   p->refused, p->ignored);
}

static void show_conn(struct seq_file *m, const struct hv_conn *k)
{
	struct hv_chan *c = k->state == HV_GONE ? NULL : hv_by_relid(k->relid);

	if (c)
		hv_note(c);		/* occupancy as of now */
	seq_printf(m, "conn id=%u relid=%u dir=%s guest_port=%u host_port=%u mode=%s state=%s",
		   k->id, k->relid, dir_name[k->dir], k->guest_port, k->host_port, hv_mode_name[k->mode],
		   state_name[k->state]);
	seq_printf(m, " rx_bytes=%llu rx_packets=%llu tx_bytes=%llu tx_packets=%llu rx_fin=%d tx_fin=%d",
		   k->rx_bytes, k->rx_packets, k->tx_bytes, k->tx_packets, k->rx_fin, k->tx_fin);
	seq_printf(m, " offered_ns=%llu opened_ns=%llu guest_fin_ns=%llu host_fin_ns=%llu rescinded_ns=%llu",
		   k->offered_ns, k->opened_ns, k->guest_fin_ns, k->host_fin_ns, k->rescinded_ns);
	seq_printf(m, " released_ns=%llu refused=%d out_size=%u in_size=%u out_used=%u in_used=%u out_used_max=%u",
		   k->released_ns, k->refused, k->out_size, k->in_size, k->out_used, k->in_used, k->out_used_max);
	seq_printf(m, " full_ns=%llu full_since_ns=%llu irqs=%llu\n",
		   k->full_ns + (k->full_since_ns ? ktime_get_ns() - k->full_since_ns : 0), k->full_since_ns,
		   k->irqs);
}

static int show(struct seq_file *m, void *v)
{
	loff_t pos = *(loff_t *)m->private;

	if (v == SEQ_START_TOKEN)
		show_host(m);
	else if (pos < FIRST_CONN)
		show_port(m, v);
	else
		show_conn(m, v);
	return 0;
}

static const struct seq_operations ledger_ops = { .start = start, .next = next, .stop = stop, .show = show };

static int ledger_open(struct inode *inode, struct file *file)
{
	struct seq_file *m;

	if (!__seq_open_private(file, &ledger_ops, sizeof(loff_t)))
		return -ENOMEM;
	m = file->private_data;
	m->buf = kvmalloc(READ_SIZE, GFP_KERNEL);
	if (m->buf)
		m->size = READ_SIZE;
	return 0;
}

/* ---------- commands ---------- */

static guid_t service(u32 port)
{
	guid_t g = GUID_INIT(0, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd3);

	memcpy(&g, &port, sizeof(port));
	return g;
}

static int find_mode(const char *name)
{
	int i;

	for (i = 0; i < HV_MODES; i++)
		if (!strcmp(name, hv_mode_name[i]))
			return i;
	return -1;
}

static int set_mode(u32 port, int mode, u64 arg)
{
	struct hv_port *p = mode < 0 ? NULL : hv_port_get(HV_TO_HOST, port);

	if (!p)
		return mode < 0 ? -EINVAL : -ENOMEM;
	p->mode = mode;
	p->arg = arg;
	return 0;
}

static u32 next_instance = 0x70000000;	/* the guest tells connections apart by it */

static int connect(u32 port, int mode, u64 arg, u32 count)
{
	guid_t type = service(port), inst;
	struct hv_port *p;

	/* A host that connects cannot ignore itself. */
	if (mode < 0 || mode == HV_IGNORE || mode == HV_REJECT)
		return -EINVAL;
	p = hv_port_get(HV_FROM_HOST, port);
	if (!p)
		return -ENOMEM;
	p->mode = mode;
	p->arg = arg;
	while (count--) {
		p->connect_requests++;
		inst = service(++next_instance);
		hv_connect(&type, &inst, HV_FROM_HOST, mode, arg, p);
	}
	return 0;
}

/* As a host may: an offer for a service of another family, whose GUID happens to begin as a port would. */
static int foreign(u32 port)
{
	guid_t type = GUID_INIT(0, 0xfacb, 0x11e6, 0xbd, 0x58, 0x64, 0x00, 0x6a, 0x79, 0x86, 0xd4), inst;
	struct hv_port *p = hv_port_get(HV_FROM_HOST, port);

	if (!p)
		return -ENOMEM;
	memcpy(&type, &port, sizeof(port));
	p->connect_requests++;
	inst = service(++next_instance);
	return hv_connect(&type, &inst, HV_FROM_HOST, HV_ECHO, 0, p);
}

static void each(const char *word, u32 port, u64 bytes)
{
	struct hv_chan *c, *tmp;

	list_for_each_entry_safe(c, tmp, &hv_chans, node) {
		if (port && c->port->port != port)
			continue;
		if (!strcmp(word, "release")) {
			hv_release(c);
		} else if (!strcmp(word, "rescind")) {
			hv_rescind(c);
		} else {
			c->to_write += bytes;
			c->want_fin |= !bytes;
			set_bit(c->relid, hv_dirty);
		}
	}
}

static int command(const char *line)
{
	char word[16] = "", name[16] = "";
	unsigned long long arg = 0, number = 0;
	u32 count = 1, port = 0;
	int n = hv_inject(line);

	if (n != -ENOMSG)
		return n;
	n = sscanf(line, "%15s %llu %15s %llu %u", word, &number, name, &arg, &count);
	if (n >= 3 && !strcmp(word, "mode") && number <= U32_MAX)
		return set_mode(number, find_mode(name), arg);
	if (n >= 3 && !strcmp(word, "connect") && number <= U32_MAX)
		return connect(number, find_mode(name), arg, count);
	if (n == 2 && !strcmp(word, "foreign") && number <= U32_MAX)
		return foreign(number);
	if (n == 2 && !strcmp(word, "refuse_delay")) {
		hv_refuse_delay_ns = number * NSEC_PER_MSEC;
		return 0;
	}
	if (n == 2 && !strcmp(word, "fail_teardowns") && number <= INT_MAX) {
		atomic_set(&hv_fail_teardowns, number);
		return 0;
	}
	if (n == 1 && !strcmp(word, "reset")) {
		hv_reset();
		return 0;
	}
	if (n >= 2 && !strcmp(word, "write") && number) {
		if (n >= 3 && kstrtou32(name, 0, &port))
			return -EINVAL;
		each("write", port, number);
		return 0;
	}
	if (n >= 1 && n <= 2 && number <= U32_MAX &&
	    (!strcmp(word, "release") || !strcmp(word, "rescind") || !strcmp(word, "fin"))) {
		each(word, number, 0);
		return 0;
	}
	return -EINVAL;
}

static ssize_t ledger_write(struct file *file, const char __user *user, size_t n, loff_t *off)
{
	char line[128];
	int err;

	if (n >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, user, n))
		return -EFAULT;
	line[n] = 0;
	mutex_lock(&hv_lock);
	err = command(line);
	mutex_unlock(&hv_lock);
	hv_kick();
	return err ?: n;
}

static const struct proc_ops ledger_proc_ops = {
	.proc_open = ledger_open, .proc_read = seq_read, .proc_lseek = seq_lseek,
	.proc_release = seq_release_private, .proc_write = ledger_write,
};

int hv_proc_start(void)
{
	return proc_create("hvhost", 0600, NULL, &ledger_proc_ops) ? 0 : -ENOMEM;
}
