/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual time: what the traffic would have taken on NICs of a given speed, however slow this machine is. Off unless
 * SOFTEFA_TIME asks for it; it then only adds stamps, and delays nothing.
 *
 * The process has a clock. Only what it gets to see moves it: a completion that it polls, or another's write without
 * immediate data, of which it may learn by looking at its memory; each moves the clock to its stamp. A request starts
 * at the clock of its post, but not before the NIC has taken the one before. Its packets leave one after the other at
 * the NIC's speed, are under way for the latency, and arrive one after the other at the target's speed. The last one
 * makes the stamp of the target's completion, and the acknowledgement that of the sender's, a latency later.
 *
 * Here a message arrives at once, so a process could see an answer before it has sent the rest of a burst, which would
 * then seem to leave after that answer. So completions are shown in the order of their stamps, and one of the future
 * only to a process that has looked several times and done nothing.
 */
#include "softefa.h"

#define PATIENCE 16 /* looks */

static atomic_int_fast64_t process_ns;
static atomic_uint looked;

int64_t soft_time_now(void)
{
	return atomic_load_explicit(&process_ns, memory_order_relaxed);
}

void soft_time_reach(int64_t stamp)
{
	int_fast64_t now = soft_time_now();

	if (now < stamp)
		soft_time_acts();
	while (now < stamp && !atomic_compare_exchange_weak(&process_ns, &now, stamp))
		;
}

bool soft_time_may_see(int64_t stamp, bool looks)
{
	if (stamp <= soft_time_now())
		return true;
	return looks && atomic_fetch_add_explicit(&looked, 1, memory_order_relaxed) >= PATIENCE;
}

void soft_time_acts(void)
{
	atomic_store_explicit(&looked, 0, memory_order_relaxed);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* How long a packet with so many bytes of payload keeps a NIC busy. */
static int64_t busy_ns(const struct soft_context *c, uint64_t bytes)
{
	return (int64_t)((bytes + sizeof(struct soft_packet)) * 8000 / c->device->nic->speed_mbps);
}

int64_t soft_time_start(struct soft_context *c, int64_t posted)
{
	int64_t start = later(posted, c->request_ns);

	c->request_ns = start + soft_setup.request_ns;
	return start;
}

int64_t soft_time_leave(struct soft_context *c, int64_t start, uint64_t bytes)
{
	if (!soft_setup.timed)
		return 0;
	c->tx_ns = later(start, c->tx_ns) + busy_ns(c, bytes);
	return c->tx_ns + soft_setup.latency_ns;
}

int64_t soft_time_arrive(struct soft_context *c, const struct soft_packet *packet)
{
	if (!soft_setup.timed)
		return 0;
	c->rx_ns = later(packet->stamp, c->rx_ns + busy_ns(c, packet->len));
	return c->rx_ns;
}

/* For programs that measure: nanoseconds of this process's clock; -1: there is no virtual time. */
SOFT_EXPORT int64_t softefa_time_ns(void)
{
	return soft_setup.timed ? soft_time_now() : -1;
}
