// SPDX-License-Identifier: GPL-2.0
/* The one mutex, and how long it was waited for and held. */
#include <linux/ktime.h>
#include "af_hyperv.h"

static DEFINE_MUTEX(hvsock_mutex);
struct hvsock_mutex_count hvsock_mutex_count;
static u64 held_since;

void hvsock_lock(void)
{
	u64 begin, now;

	if (mutex_trylock(&hvsock_mutex)) {
		now = ktime_get_ns();
	} else {
		begin = ktime_get_ns();
		mutex_lock(&hvsock_mutex);
		now = ktime_get_ns();
		hvsock_mutex_count.contended++;
		hvsock_mutex_count.wait_ns += now - begin;
	}
	hvsock_mutex_count.locks++;
	held_since = now;
}

void hvsock_unlock(void)
{
	hvsock_mutex_count.held_ns += ktime_get_ns() - held_since;
	mutex_unlock(&hvsock_mutex);
}

/* For whoever only reads what is counted, and should not be counted with it. */
void hvsock_lock_uncounted(void)
{
	mutex_lock(&hvsock_mutex);
}

void hvsock_unlock_uncounted(void)
{
	mutex_unlock(&hvsock_mutex);
}
