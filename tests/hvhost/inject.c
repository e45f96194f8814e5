// SPDX-License-Identifier: GPL-2.0
/*
 * Faults on demand, for what a healthy guest and host never show: the kernels of distributions have no
 * CONFIG_FAULT_INJECTION, so this does what lib/error-inject.c and kernel/fail_function.c do. A kprobe at the entry
 * of a kernel function sends the next COUNT calls elsewhere:
 *   fail FUNCTION RESULT COUNT [INSIDE]   they return RESULT at once
 *   delay FUNCTION MS COUNT [INSIDE]      they begin MS milliseconds later
 *   pause FUNCTION MS COUNT [INSIDE]      they return MS milliseconds later; as above, only where one may sleep
 *   nest FUNCTION OTHER COUNT [INSIDE]    OTHER is called first, with zeros for arguments
 *   within FUNCTION OTHER COUNT [INSIDE]  OTHER is called, so too, while the kprobe is being handled: no other one is then
 *   mend                                  no faults any more; `reset` does that, too, and forgets them
 * With INSIDE only calls count that are made, directly or not, from that function, as the stack tells: one that ends
 * with a jump to the next is not on it any more. Functions that are traced by others at their entry cannot be diverted:
 * two cannot change where one call goes to.
 */
#include <linux/delay.h>
#include <linux/kprobes.h>
#include <linux/sched.h>
#include <linux/stacktrace.h>
#include <linux/string.h>
#include "hvhost.h"

#define FAULTS 6
#define NAME 48
#define DEPTH 32			/* callers looked at for INSIDE */

typedef unsigned long call_t(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e,
			     unsigned long f);

enum how { FAIL, DELAY, PAUSE, NEST, WITHIN };
static const char * const how_name[] = { "fail", "delay", "pause", "nest", "within" };

static struct fault {
	struct kprobe kp;
	call_t *stub, *other;
	char function[NAME], inside[NAME];
	unsigned long from, to;		/* where INSIDE is; nothing: anywhere */
	enum how how;
	long value;
	u32 id;				/* counts faults since the last `reset`; 0: none */
	bool armed;
	atomic_t left, done, busy;	/* calls to be diverted, calls that were, calls in a stub now */
	struct task_struct *through;	/* its calls go to the function itself */
} faults[FAULTS];
static u32 last_id;

/* ---------- when a call comes ---------- */

static bool is_inside(const struct fault *f)
{
	unsigned long caller[DEPTH];
	unsigned int i, n;

	if (!f->to)
		return true;
	n = stack_trace_save(caller, DEPTH, 0);
	for (i = 0; i < n; i++)
		if (caller[i] > f->from && caller[i] <= f->to)
			return true;
	return false;
}

static int divert(struct kprobe *kp, struct pt_regs *regs)
{
	struct fault *f = container_of(kp, struct fault, kp);

	if (READ_ONCE(f->through) == current || !atomic_read(&f->left) || !is_inside(f) ||
	    atomic_dec_if_positive(&f->left) < 0)
		return 0;
	atomic_inc(&f->done);
	if (f->how == WITHIN) {
		f->other(0, 0, 0, 0, 0, 0);
		return 0;
	}
	atomic_inc(&f->busy);
	regs->ip = (unsigned long)f->stub;	/* with the call's own arguments, stack and return address */
	return 1;
}

static void after(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

/* The function itself. Only one task at a time may be in here; the host's commands arm such a fault for one call. */
static unsigned long proper(struct fault *f, call_t *call, unsigned long *arg)
{
	unsigned long result;

	WRITE_ONCE(f->through, current);
	result = call(arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	WRITE_ONCE(f->through, NULL);
	return result;
}

static unsigned long diverted(struct fault *f, unsigned long *arg)
{
	unsigned long result = f->value;

	if (f->how == DELAY)
		msleep(f->value);
	if (f->how == NEST)
		f->other(0, 0, 0, 0, 0, 0);
	if (f->how != FAIL)
		result = proper(f, (call_t *)f->kp.addr, arg);
	if (f->how == PAUSE)
		msleep(f->value);
	atomic_dec(&f->busy);
	return result;
}

#define STUB(n)										\
	static unsigned long stub##n(unsigned long a, unsigned long b, unsigned long c, unsigned long d,	\
				     unsigned long e, unsigned long f)			\
	{										\
		unsigned long arg[] = { a, b, c, d, e, f };				\
		return diverted(&faults[n], arg);					\
	}
STUB(0) STUB(1) STUB(2) STUB(3) STUB(4) STUB(5)
static call_t * const stubs[FAULTS] = { stub0, stub1, stub2, stub3, stub4, stub5 };

/* ---------- commands ---------- */

static int locate(struct fault *f)
{
	int (*extent)(unsigned long, unsigned long *, unsigned long *) =
		(void *)hv_symbol("kallsyms_lookup_size_offset");
	unsigned long size, offset;

	if (!*f->inside)
		return 0;
	f->from = hv_symbol(f->inside);
	if (!extent || !f->from || !extent(f->from, &size, &offset))
		return -ENOENT;
	f->to = f->from + size;
	return 0;
}

static int arm(struct fault *f)
{
	int err = locate(f);

	if (err)
		return err;
	f->stub = stubs[f - faults];
	f->kp = (struct kprobe){ .symbol_name = f->function, .pre_handler = divert, .post_handler = after };
	err = register_kprobe(&f->kp);
	if (err == -ENOENT || err == -EINVAL) {	/* since 6.10 this is what functions that allocate are called */
		strlcat(f->function, "_noprof", NAME);
		f->kp = (struct kprobe){ .symbol_name = f->function, .pre_handler = divert, .post_handler = after };
		err = register_kprobe(&f->kp);
	}
	f->armed = !err;
	return err;
}

static void mend(bool forget)
{
	struct fault *f;

	for (f = faults; f < faults + FAULTS; f++) {
		atomic_set(&f->left, 0);
		if (f->armed)
			unregister_kprobe(&f->kp);
		f->armed = false;
		while (atomic_read(&f->busy))
			msleep(1);
		if (forget)
			memset(f, 0, sizeof(*f));
	}
}

/* Also called by `reset`. */
void hv_inject_forget(void)
{
	mend(true);
	last_id = 0;
}

/* The place of the oldest fault that is over. */
static struct fault *unused(void)
{
	struct fault *f, *oldest = NULL;

	for (f = faults; f < faults + FAULTS; f++)
		if (!f->armed && (!oldest || f->id < oldest->id))
			oldest = f;
	return oldest;
}

/* -ENOMSG: it is not one of these commands. */
int hv_inject(const char *line)
{
	char word[16] = "", function[NAME] = "", value[NAME] = "", inside[NAME] = "";
	struct fault *f = unused();
	int how, err, count = 0;
	int n = sscanf(line, "%15s %47s %47s %d %47s", word, function, value, &count, inside);

	if (n == 1 && !strcmp(word, "mend")) {
		mend(false);
		return 0;
	}
	how = match_string(how_name, ARRAY_SIZE(how_name), word);
	if (how < 0)
		return -ENOMSG;
	if (n < 4 || count < 1 || (how != FAIL && count != 1))
		return -EINVAL;
	if (!f)
		return -ENOSPC;
	memset(f, 0, sizeof(*f));
	strscpy(f->function, function, NAME);
	strscpy(f->inside, inside, NAME);
	f->how = how;
	atomic_set(&f->left, count);
	if (how == NEST || how == WITHIN)
		f->other = (call_t *)hv_symbol(value);
	if (how == NEST || how == WITHIN ? !f->other : kstrtol(value, 0, &f->value))
		return -EINVAL;
	err = arm(f);
	if (!err)
		f->id = ++last_id;
	return err;
}

void hv_inject_show(struct seq_file *m)
{
	const struct fault *f;

	for (f = faults; f < faults + FAULTS; f++)
		if (f->id)
			seq_printf(m, "fault id=%u how=%s function=%s inside=%s left=%d done=%d\n", f->id,
				   how_name[f->how], f->function, *f->inside ? f->inside : "-",
				   atomic_read(&f->left), atomic_read(&f->done));
}
