/* SPDX-License-Identifier: GPL-2.0 */
/*
 * hvhost: enough of a Hyper-V hypervisor and of its VMBus host, as a module,
 * for the stock hv_vmbus.ko and hv_sock.ko to run where there is no Hyper-V.
 *
 *   hypervisor.c  hypercalls in, interrupts out (SynIC message and event pages)
 *   messages.c    the VMBus messages the guest sends
 *   host.c        channels: relids, offers, open results, rescinds, timers
 *   ring.c        the two rings of a channel, seen from the host's end
 *   modes.c       what the host does with an open channel (echo, stall, ...)
 *   ledger.c      what happened, kept after the channel is gone
 *   inject.c      kernel functions that fail, or take their time, on demand
 *   proc.c        /proc/hvhost: the ledger out, commands in
 *   main.c        the host's thread, load
 *
 * All state below is protected by hv_lock. Only the hypercall entry runs
 * outside it: it fills the inbox and the dirty bitmap, and wakes the thread.
 */
#ifndef HVHOST_H
#define HVHOST_H

#include <linux/hyperv.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/seq_file.h>
#include <linux/types.h>
#include <linux/xarray.h>
#include <asm/mshyperv.h>

#undef pr_fmt
#define pr_fmt(fmt) "hvhost: " fmt

#define HV_RELIDS 2048			/* MAX_CHANNEL_RELIDS of hv_vmbus */
#define HV_CONNECTION_ID 0x10000	/* + relid: what the guest signals */
#define HV_FULL 72			/* avail <= 72: hv_sock cannot write */
#define HV_MTU 16384			/* HVS_MTU_SIZE: largest payload it takes */

enum hv_mode {
	HV_ECHO, HV_SINK, HV_SOURCE, HV_STALL, HV_SLOW, HV_IGNORE, HV_LINGER, HV_REFUSE,
	HV_HOLD, HV_CORRUPT, HV_DELAY, HV_NOOPEN, HV_REJECT, HV_GET, HV_MODES
};
extern const char * const hv_mode_name[HV_MODES];

enum hv_dir { HV_TO_HOST, HV_FROM_HOST };	/* who asked for the connection */

/* The ledger: one record per connection, kept until `reset`. */
enum hv_state { HV_OFFERED, HV_OPEN, HV_CLOSING, HV_GONE };
struct hv_conn {
	u32 id, relid, guest_port, host_port;
	enum hv_dir dir;
	enum hv_mode mode;
	enum hv_state state;
	bool rx_fin, tx_fin, refused;
	u64 rx_bytes, rx_packets, tx_bytes, tx_packets, irqs;
	u64 offered_ns, opened_ns, guest_fin_ns, host_fin_ns, rescinded_ns, released_ns;
	u64 full_ns, full_since_ns;
	u32 out_size, in_size, out_used, in_used, out_used_max;
};

/* A service: what the host plays there, and its sums. */
struct hv_port {
	u32 port;
	enum hv_dir dir;
	enum hv_mode mode;
	u64 arg, connect_requests, offers, refused, ignored;
};

struct hv_sums {
	u64 offers, refused, ignored, rescinds, released, messages, dropped;
	u32 live;
};

/* One ring. The host owns one of its two indices and keeps it here as well: the shared page is the guest's to spoil. */
struct hv_ring {
	struct hv_ring_buffer *rb;
	u32 size, index;	/* data bytes; our index: read of `out`, write of `in` */
};

struct hv_packet {
	const void *data;
	u32 len, total;		/* payload; with headers, padding and trailer */
};

/* Where a channel stands, from the host's point of view. */
enum hv_phase { HV_PH_DELAYED, HV_PH_OFFERED, HV_PH_OPENING, HV_PH_OPEN, HV_PH_CLOSED };

struct hv_chan {
	struct list_head node, timer;	/* all channels; those with a deadline */
	u64 deadline;
	struct hv_conn *conn;
	struct hv_port *port;
	u32 relid, cpu, gpadl, npfn, got, in_page, openid;
	u64 *pfn;
	enum hv_phase phase;
	enum hv_mode mode;
	u64 arg, seq;
	guid_t type, inst;
	struct hv_ring out, in;		/* guest->host, host->guest */
	u64 to_write, next_read;
	bool rescinded, want_fin, corrupted;
	u32 saved_out_write, saved_in_read;	/* the guest's indices before we spoilt them */
};

/* hypervisor.c */
struct hv_inmsg {
	struct list_head node;
	u32 len;
	u8 data[HV_MESSAGE_PAYLOAD_BYTE_COUNT];
};
int hv_hypervisor_start(void);
struct hv_inmsg *hv_next_message(void);
bool hv_messages_pending(void);
u64 hv_signals(void);
void hv_signals_reset(void);
void hv_post(const void *payload, u32 len);
bool hv_interrupt_channel(u32 cpu, u32 relid);
unsigned long hv_symbol(const char *name);

/* main.c */
extern struct mutex hv_lock;
extern unsigned long hv_dirty[BITS_TO_LONGS(HV_RELIDS)];	/* relids to look at */
void hv_kick(void);

/* messages.c */
void hv_guest_message(struct hv_inmsg *m);

/* host.c */
extern struct list_head hv_chans;
extern u64 hv_refuse_delay_ns;
extern atomic_t hv_fail_teardowns;	/* so many teardown messages are still to be turned away */
struct hv_chan *hv_by_relid(u32 relid);
int hv_connect(const guid_t *type, const guid_t *inst, enum hv_dir dir, enum hv_mode mode, u64 arg,
	       struct hv_port *port);
void hv_open_seen(struct hv_chan *c);
void hv_open_result(struct hv_chan *c, u32 status);
void hv_close(struct hv_chan *c);
void hv_rescind(struct hv_chan *c);
void hv_free(struct hv_chan *c);
void hv_free_all(void);
void hv_timer(struct hv_chan *c, u64 deadline);
void hv_timer_cancel(struct hv_chan *c);
u64 hv_run_timers(void);
u64 hv_next_deadline(void);
extern struct xarray hv_gpadls;

/* ring.c */
bool hv_ring_map(struct hv_ring *r, const u64 *pfn, u32 n);
void hv_ring_unmap(struct hv_ring *r);
int hv_out_used(const struct hv_ring *r);
int hv_in_used(const struct hv_ring *r);
int hv_ring_peek(const struct hv_ring *r, struct hv_packet *p);
bool hv_ring_consume(struct hv_ring *r, u32 total);
bool hv_ring_put(struct hv_ring *r, const void *data, u32 len, bool *was_empty);

/* modes.c */
void hv_turn(struct hv_chan *c);
void hv_note(struct hv_chan *c);
void hv_release(struct hv_chan *c);

/* ledger.c */
extern struct xarray hv_conns, hv_ports;	/* by id; by direction and port */
extern struct hv_sums hv_sums;
struct hv_conn *hv_conn_new(void);
struct hv_port *hv_port_get(enum hv_dir dir, u32 port);
unsigned long hv_port_key(enum hv_dir dir, u32 port);
void hv_reset(void);

/* inject.c */
int hv_inject(const char *line);
void hv_inject_forget(void);
void hv_inject_show(struct seq_file *m);

/* proc.c */
int hv_proc_start(void);

#endif
