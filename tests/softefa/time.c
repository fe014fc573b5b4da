/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual time: the time that the traffic would have taken on NICs of a given speed, however slow this machine is. It
 * is off unless SOFTEFA_TIME turns it on; it then only adds stamps, and delays nothing. The program sees it as
 * CLOCK_MONOTONIC.
 *
 * The process has a clock (clocks.c), and sees nothing from its future: no completion, and no write without immediate
 * data, which it could detect by reading its memory. A request starts at the clock of its post, but not before the NIC
 * has taken the previous one. Its packets leave one after the other at the NIC's speed, take the latency to arrive, and
 * are received one after the other at the target's speed. The last one determines the stamp of the target's completion,
 * and its acknowledgement that of the sender's, one latency later.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#include "softefa.h"

#define SECOND_NS INT64_C(1000000000)

static atomic_int_fast64_t acted_ns; /* real time of the process's last activity */

void soft_time_acts(void)
{
	if (!soft_setup.timed)
		return;
	soft_clock_here();
	soft_time_called();
	atomic_store_explicit(&acted_ns, soft_time_real_ns(), memory_order_relaxed);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* The time for which a packet with `bytes` of payload keeps a NIC busy. */
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

/*
 * Packets received by a NIC, in slots of time. Packets of several peers are not handled in the order of their stamps:
 * each waits for the known packets with earlier stamps.
 */
#define SLOT_NS	  256
#define SLOTS	  16384
#define LOOK_BACK 256 /* slots looked back; older leftovers are ignored */

struct slot {
	int64_t number;
	int64_t work_ns, left_ns; /* work that arrived in the slot, and work left over at its end */
};

struct soft_calendar {
	struct slot slots[SLOTS];
};

/* The time at which a packet is in place whose last bit arrives at `stamp` and that takes `takes`. */
static int64_t book(struct soft_calendar *calendar, int64_t stamp, int64_t takes)
{
	int64_t n, at, left = 0;
	struct slot *s;

	for (at = later(stamp - takes, 0); at < stamp; at = (n + 1) * SLOT_NS) {
		n = at / SLOT_NS;
		s = &calendar->slots[n % SLOTS];
		if (s->number != n)
			*s = (struct slot){.number = n};
		s->work_ns += (stamp < (n + 1) * SLOT_NS ? stamp : (n + 1) * SLOT_NS) - at;
	}
	n = later(stamp / SLOT_NS - LOOK_BACK, 0);
	s = &calendar->slots[n % SLOTS];
	if (s->number == n)
		left = s->left_ns;
	while (++n < stamp / SLOT_NS) {
		s = &calendar->slots[n % SLOTS];
		left = later(left + (s->number == n ? s->work_ns : 0) - SLOT_NS, 0);
		if (s->number == n)
			s->left_ns = left;
	}
	return stamp + left;
}

int64_t soft_time_arrive(struct soft_context *c, const struct soft_packet *packet)
{
	if (!soft_setup.timed)
		return 0;
	if (!c->calendar)
		c->calendar = calloc(1, sizeof(*c->calendar));
	return c->calendar ? book(c->calendar, packet->stamp, busy_ns(c, packet->len)) : packet->stamp;
}

void soft_time_free(struct soft_context *c)
{
	free(c->calendar);
	c->calendar = NULL;
}

/* ---- the program's clock ---- */

typedef int clock_reader(clockid_t id, struct timespec *out);

static clock_reader *real_clock(void)
{
	static _Atomic(clock_reader *) real;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	return real;
}

int64_t soft_time_real_ns(void)
{
	struct timespec t;

	real_clock()(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND_NS + t.tv_nsec;
}

/* Time spent waiting for timers while no traffic came: they then run in real time. */
static int64_t waited_ns(void)
{
	static atomic_int_fast64_t asked_ns, waited;
	int64_t now = soft_time_real_ns(), before = atomic_exchange(&asked_ns, now);

	if (now - before > SECOND_NS / 10 || soft_clock_held())
		acted_ns = now; /* it was elsewhere, or others are at work */
	else if (now > before && now - acted_ns > SECOND_NS)
		waited += now - before;
	return waited;
}

/* Replaces libc's. */
SOFT_EXPORT int clock_gettime(clockid_t id, struct timespec *out)
{
	int64_t ns;

	if (!soft_setup.timed || (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_RAW))
		return real_clock()(id, out);
	soft_clock_here();
	ns = waited_ns();
	ns += soft_time_now();
	*out = (struct timespec){.tv_sec = ns / SECOND_NS, .tv_nsec = ns % SECOND_NS};
	return 0;
}
