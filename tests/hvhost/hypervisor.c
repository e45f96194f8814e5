// SPDX-License-Identifier: GPL-2.0
/*
 * The hypervisor. (1) A kprobe makes hv_is_hyperv_initialized() say yes.
 * (2) The kernel's hv_hypercall_pg, hv_vp_index and hyperv_pcpu_input_arg get
 * values, so hypercalls land in hvhost_hypercall(). (3) A kprobe on
 * hv_setup_vmbus_handler() learns vmbus_isr. (4) Messages and channel events
 * go into the SynIC pages, then vmbus_isr runs in hard interrupt context. The
 * ACPI device "VMBus" comes from the machine; TCG ignores the SynIC MSRs.
 */
#include <linux/delay.h>
#include <linux/interrupt.h>
#include <linux/irq_work.h>
#include <linux/kprobes.h>
#include <linux/linkage.h>
#include <linux/percpu.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <asm/sync_bitops.h>
#include "hvhost.h"

#define SINT 2				/* VMBUS_MESSAGE_SINT */
#define SINT_EVENT_BYTES 256		/* event flags of one SINT: 2048 bits */
#define POST_TRIES 20000		/* a second or so for the guest to take a message */

/* Input page of HVCALL_POST_MESSAGE (TLFS). */
struct post_message {
	u32 connection_id, reserved, message_type, payload_size;
	u64 payload[HV_MESSAGE_PAYLOAD_QWORD_COUNT];
};

static LIST_HEAD(inbox);
static DEFINE_SPINLOCK(inbox_lock);
static atomic64_t signals;

static void (*isr)(void);		/* vmbus_isr, while hv_vmbus is loaded */
static DEFINE_PER_CPU(struct irq_work, intr);
/* The head of hv_vmbus's hv_context; its per-cpu part starts with the message page and the event page. */
static struct { u64 guestid; void ** __percpu *cpu; } *context;

/* Where a symbol is, exported or not; modules' as well, as MODULE:NAME or NAME. */
unsigned long hv_symbol(const char *name)
{
	static unsigned long (*lookup)(const char *);
	struct kprobe kp = { .symbol_name = "kallsyms_lookup_name" };

	if (!lookup) {
		if (register_kprobe(&kp))
			return 0;
		lookup = (void *)kp.addr;
		unregister_kprobe(&kp);
	}
	return lookup(name);
}

/* ---------- from the guest ---------- */

u64 hvhost_hypercall(u64 control, u64 in, u64 out);
u64 hvhost_hypercall(u64 control, u64 in, u64 out)
{
	unsigned long flags;
	u32 relid;

	switch (control & 0xffff) {
	case HVCALL_POST_MESSAGE: {
		const struct post_message *pm = phys_to_virt(in);
		const struct vmbus_channel_message_header *header = (const void *)pm->payload;
		struct hv_inmsg *m;

		if (header->msgtype == CHANNELMSG_GPADL_TEARDOWN &&
		    atomic_dec_if_positive(&hv_fail_teardowns) >= 0)
			return HV_STATUS_INVALID_PARAMETER;
		m = kmalloc(sizeof(*m), GFP_ATOMIC);
		if (!m)
			return HV_STATUS_INSUFFICIENT_MEMORY;
		m->len = min_t(u32, pm->payload_size, sizeof(m->data));
		memcpy(m->data, pm->payload, m->len);
		memset(m->data + m->len, 0, sizeof(m->data) - m->len);
		spin_lock_irqsave(&inbox_lock, flags);
		list_add_tail(&m->node, &inbox);
		spin_unlock_irqrestore(&inbox_lock, flags);
		hv_kick();
		return HV_STATUS_SUCCESS;
	}
	case HVCALL_SIGNAL_EVENT:	/* a fast call: `in` is the connection id itself */
		atomic64_inc(&signals);
		relid = (u32)in - HV_CONNECTION_ID;
		if (relid < HV_RELIDS)
			set_bit(relid, hv_dirty);
		hv_kick();
		return HV_STATUS_SUCCESS;
	}
	return HV_STATUS_INVALID_HYPERCALL_CODE;
}

bool hv_messages_pending(void)
{
	return !list_empty_careful(&inbox);
}

struct hv_inmsg *hv_next_message(void)
{
	struct hv_inmsg *m;

	spin_lock_irq(&inbox_lock);
	m = list_first_entry_or_null(&inbox, struct hv_inmsg, node);
	if (m)
		list_del(&m->node);
	spin_unlock_irq(&inbox_lock);
	return m;
}

u64 hv_signals(void)
{
	return atomic64_read(&signals);
}

void hv_signals_reset(void)
{
	atomic64_set(&signals, 0);
}

/* Hypercall ABI (rcx, rdx, r8 -> rax; rdi and rsi survive) -> C ABI. */
asm(".pushsection .text\n"
    ".globl hvhost_hypercall_entry\n"
    ".type hvhost_hypercall_entry, @function\n"
    "hvhost_hypercall_entry:\n"
    "	endbr64\n"
    "	push %rdi\n	push %rsi\n"
    "	mov %rcx, %rdi\n	mov %rdx, %rsi\n	mov %r8, %rdx\n"
    "	call hvhost_hypercall\n"
    "	pop %rsi\n	pop %rdi\n	" ASM_RET
    ".size hvhost_hypercall_entry, .-hvhost_hypercall_entry\n"
    ".globl hvhost_just_return\n"
    ".type hvhost_just_return, @function\n"
    "hvhost_just_return:\n"
    "	endbr64\n	" ASM_RET
    ".size hvhost_just_return, .-hvhost_just_return\n"
    ".popsection\n");
extern char hvhost_hypercall_entry[], hvhost_just_return[];

/* ---------- to the guest ---------- */

static void run_isr(struct irq_work *unused)
{
	void (*handler)(void) = READ_ONCE(isr);

	if (handler)
		handler();
}

static void run_isr_ipi(void *unused)
{
	run_isr(NULL);
}

static void interrupt(int cpu)
{
	preempt_disable();
	if (cpu == smp_processor_id())
		irq_work_queue(this_cpu_ptr(&intr));
	else
		smp_call_function_single(cpu, run_isr_ipi, NULL, 0);
	preempt_enable();
}

static u8 *synic_page(int cpu, int which)
{
	if (!READ_ONCE(isr))
		return NULL;
	if (!context)
		context = (void *)hv_symbol("hv_vmbus:hv_context");
	return context ? per_cpu_ptr((void ** __percpu)context->cpu, cpu)[which] : NULL;
}

/* A VMBus message: into the slot of CPU 0, where hv_vmbus connects, as soon as the guest has taken the last one. */
void hv_post(const void *payload, u32 len)
{
	struct hv_message *m = (void *)synic_page(0, 0);
	int i;

	if (!m)
		return;
	m += SINT;
	for (i = 0; READ_ONCE(m->header.message_type) != HVMSG_NONE; i++) {
		if (i > POST_TRIES) {
			pr_err("the guest does not take messages any more\n");
			return;
		}
		usleep_range(20, 60);
	}
	memcpy(m->u.payload, payload, len);
	m->header.payload_size = len;
	m->header.message_flags.msg_pending = 0;
	wmb();	/* the type makes the message valid: it goes last */
	WRITE_ONCE(m->header.message_type, 1);
	interrupt(0);
}

bool hv_interrupt_channel(u32 cpu, u32 relid)
{
	u8 *events = synic_page(cpu, 1);

	if (!events)
		return false;
	sync_set_bit(relid, (unsigned long *)(events + SINT * SINT_EVENT_BYTES));
	interrupt(cpu);
	return true;
}

/* ---------- taking the hypervisor's place ---------- */

static int yes_pre(struct kprobe *kp, struct pt_regs *regs)
{
	regs->ax = 1;			/* return true to the caller */
	regs->ip = (unsigned long)hvhost_just_return;	/* sp must stay: ftrace-based */
	return 1;
}

static void yes_post(struct kprobe *kp, struct pt_regs *regs, unsigned long flags)
{
}

static struct kprobe kp_yes = {
	.symbol_name = "hv_is_hyperv_initialized",
	.pre_handler = yes_pre,
	.post_handler = yes_post,	/* having one is what lets the other change ip */
};

static int setup_pre(struct kprobe *kp, struct pt_regs *regs)
{
	WRITE_ONCE(isr, (void *)regs->di);
	return 0;
}

static struct kprobe kp_setup = {
	.symbol_name = "hv_setup_vmbus_handler", .pre_handler = setup_pre
};

static int remove_pre(struct kprobe *kp, struct pt_regs *regs)
{
	/* hv_vmbus goes away. A vmbus_isr still running is in hard irq context, which module unload waits for. */
	WRITE_ONCE(isr, NULL);
	context = NULL;
	return 0;
}

static struct kprobe kp_remove = {
	.symbol_name = "hv_remove_vmbus_handler", .pre_handler = remove_pre
};

static int set_hypercall_page(void)
{
	/* Since 6.17 calls go through a static call, which this setter patches; before, the exported pointer is all. */
	void (*set)(void *) = (void *)hv_symbol("hv_set_hypercall_pg");
	void **page = (void *)hv_symbol("hv_hypercall_pg");

	if (set)
		set(hvhost_hypercall_entry);
	else if (page)
		WRITE_ONCE(*page, hvhost_hypercall_entry);
	else
		return -ENOENT;
	return 0;
}

int hv_hypervisor_start(void)
{
	void **page = (void *)hv_symbol("hv_hypercall_pg");
	int cpu, err;

	if (page && *page)
		return -EBUSY;		/* a real Hyper-V: keep off */
	hv_vp_index = kcalloc(nr_cpu_ids, sizeof(u32), GFP_KERNEL);
	hyperv_pcpu_input_arg = alloc_percpu(void *);
	if (!hv_vp_index || !hyperv_pcpu_input_arg)
		return -ENOMEM;		/* leaks, as every failure below: a test VM is of no use then */
	for_each_possible_cpu(cpu) {
		hv_vp_index[cpu] = cpu;
		*per_cpu_ptr(&intr, cpu) = IRQ_WORK_INIT_HARD(run_isr);
		*per_cpu_ptr(hyperv_pcpu_input_arg, cpu) = (void *)get_zeroed_page(GFP_KERNEL);
	}
	err = register_kprobe(&kp_yes);
	if (!err)
		err = register_kprobe(&kp_setup);
	if (!err)
		err = register_kprobe(&kp_remove);
	return err ?: set_hypercall_page();
}
