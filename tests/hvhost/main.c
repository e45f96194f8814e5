// SPDX-License-Identifier: GPL-2.0
/*
 * The host's thread. Everything the host does happens here or in a command
 * (proc.c), under hv_lock. It looks only at channels that were signalled or
 * whose time has come, so an idle connection costs nothing.
 */
#include <linux/bitmap.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/wait.h>
#include "hvhost.h"

DEFINE_MUTEX(hv_lock);
unsigned long hv_dirty[BITS_TO_LONGS(HV_RELIDS)];

static DECLARE_WAIT_QUEUE_HEAD(wq);
static atomic_t kicked = ATOMIC_INIT(0);

void hv_kick(void)
{
	atomic_set(&kicked, 1);
	wake_up(&wq);
}

static void messages(void)
{
	struct hv_inmsg *m;

	while ((m = hv_next_message())) {
		hv_sums.messages++;
		hv_guest_message(m);
		kfree(m);
	}
}

static void turns(void)
{
	struct hv_chan *c;
	unsigned long relid;

	for_each_set_bit(relid, hv_dirty, HV_RELIDS) {
		clear_bit(relid, hv_dirty);	/* first: a signal during the turn brings another */
		c = hv_by_relid(relid);
		if (c)
			hv_turn(c);
		if (hv_messages_pending())
			messages();	/* opening must not wait for 2,000 busy channels */
	}
}

static int host(void *unused)
{
	u64 now, next;

	for (;;) {
		mutex_lock(&hv_lock);
		next = hv_next_deadline();
		mutex_unlock(&hv_lock);
		now = ktime_get_ns();
		if (next > now)
			wait_event_interruptible_hrtimeout(wq, atomic_xchg(&kicked, 0),
				next == U64_MAX ? KTIME_MAX : ns_to_ktime(next - now));
		mutex_lock(&hv_lock);
		messages();
		turns();
		hv_run_timers();
		mutex_unlock(&hv_lock);
		cond_resched();
	}
	return 0;
}

static int __init hvhost_init(void)
{
	struct task_struct *task;
	int err = hv_proc_start();

	if (!err)
		err = hv_hypervisor_start();
	if (err) {
		pr_err("cannot take the hypervisor's place: error %d\n", err);
		return err;
	}
	task = kthread_run(host, NULL, "hvhost");
	if (IS_ERR(task))
		return PTR_ERR(task);
	pr_info("ready\n");
	return 0;
}
module_init(hvhost_init);	/* no exit: hv_vmbus calls into it until the VM ends */
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Plays the Hyper-V hypervisor and VMBus host for tests of the stock hv_vmbus and hv_sock");
