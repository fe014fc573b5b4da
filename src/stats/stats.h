/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The live record of this process (include/weft/stats.h): the file, its entries, and the stores of the data path, which
 * take no lock, make no system call and allocate nothing. Everything that belongs to an endpoint is written under that
 * endpoint's lock.
 *
 * What has no entry, because WEFT_STATS=0, or no file can be made, or a table is full, writes into memory of its own,
 * so the data path does not ask.
 */
#ifndef WEFT_STATS_STATS_H
#define WEFT_STATS_STATS_H

#include <stddef.h>

#include "conf/conf.h"
#include "dev/dev.h"
#include "stats/clock.h"

/* An endpoint's part of the record. */
struct stats_ep {
	struct weft_stats_endpoint *at;
	struct weft_stats_event *events;
	uint64_t mask;	 /* of the index of an event */
	uint64_t per_us; /* 2^64 divided by the ticks of a microsecond */
	uint64_t late;	 /* WEFT_STATS_LATE_US in ticks */
	int index;	 /* in the table, or -1 */
	struct weft_stats_rail *rails[DEV_RAILS_MAX];
	int rail_index[DEV_RAILS_MAX];		  /* in the table, or -1 */
	uint64_t core_wait, core_runs, core_read; /* of `core_thread`: at the last check, and when that was */
	long core_thread;

	/* In place of entries; a comm without one has memory of its own, unless there is none. */
	struct weft_stats_endpoint no_endpoint;
	struct weft_stats_rail no_rail[DEV_RAILS_MAX];
	struct weft_stats_comm no_comm;
	struct weft_stats_event no_event;
};

/* A comm's part. */
struct stats_comm {
	struct weft_stats_comm *at;
	struct stats_ep *ep;
	uint16_t index; /* in the table, or WEFT_STATS_NO_COMM */
	uint32_t done;	/* the first four bytes after `time` of its events of kind WEFT_STATS_EV_DONE */
};

/* Names of a comm, for its entry. The texts may be cut. */
struct stats_names {
	const char *protocol, *host, *address;
	uint64_t pid;
};

/*
 * Notes what the environment says of rank and job. Call it while no other thread sets variables; without it the record
 * names none.
 */
void stats_read_environment(void);

/* Registers what a fork needs. The handlers of a lock that is held around stats_ep_open must be registered later. */
void stats_prepare(void);

/* Opens the record with the process's first endpoint, and gives the endpoint its entries. Never fails. */
void stats_ep_open(struct stats_ep *s, const struct conf *conf, const struct dev *dev, uint32_t id);
void stats_ep_close(struct stats_ep *s); /* accepts one that was not opened */

void stats_comm_open(struct stats_comm *c, struct stats_ep *ep, enum weft_stats_direction direction, uint32_t id,
		     const struct stats_names *names);
/* Fills in what is known only when the comm is connected. */
void stats_comm_name(struct stats_comm *c, const struct stats_names *names);
void stats_comm_close(struct stats_comm *c); /* accepts one that was not opened */

/* Path of the record, or "" if there is none. Valid until the process ends. */
const char *stats_path(void);

/* For checks while waiting: measures the clock's rate again, and sets the endpoint's time. Returns the time. */
uint64_t stats_check(struct stats_ep *s);

/* For the same checks: adds the time that the calling thread waited for a core. Reads at most 10 times a second. */
void stats_core_check(struct stats_ep *s);

/* --- the data path --- */

__extension__ typedef unsigned __int128 stats_wide;

/* A duration in microseconds, cut to 32 bits. */
static inline uint32_t stats_us(const struct stats_ep *s, uint64_t ticks)
{
	return (uint32_t)((stats_wide)ticks * s->per_us >> 64);
}

/* The bucket of a duration. */
static inline unsigned stats_bucket(uint32_t us)
{
	return 31u - (unsigned)__builtin_clz(us | 1);
}

_Static_assert(WEFT_STATS_BUCKETS == 32, "a bucket for each bit");

/* Adds an event, whose fields the caller stores at once. It is half written until then. */
static inline struct weft_stats_event *stats_event_next(struct stats_ep *s)
{
	return &s->events[s->at->event_end++ & s->mask];
}

static inline void stats_event(struct stats_ep *s, struct weft_stats_event e)
{
	*stats_event_next(s) = e;
}

static inline void stats_done_event(const struct stats_comm *c, uint64_t now, uint8_t rail, uint32_t number,
				    uint32_t peer_us, uint32_t wire_us, uint64_t bytes)
{
	struct weft_stats_event *e = stats_event_next(c->ep);

	e->time = now;
	__builtin_memcpy((char *)e + offsetof(struct weft_stats_event, kind), &c->done, sizeof(c->done));
	e->rail = rail;
	e->number = number;
	e->peer_us = peer_us;
	e->wire_us = wire_us;
	e->value = bytes;
}

/* An event outside the data path, at this moment. */
void stats_note(struct stats_ep *s, enum weft_stats_event_kind kind, const struct stats_comm *comm, uint32_t number,
		uint64_t value);
void stats_rail_down(struct stats_ep *s, int rail, int err, const char *why);
void stats_rail_up(struct stats_ep *s, int rail);

/* Sets the state of the comm's half, with an event; err: a negative errno, or 0. */
void stats_comm_state(struct stats_comm *c, enum weft_stats_comm_state state, int err);

#endif
