/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counts of entries of records that another rail or comm has taken over, and the first rate of each process's clock.
 * With them, a sum over a process never decreases while the process lives.
 */
#ifndef WEFT_OBSERVE_RETIRED_H
#define WEFT_OBSERVE_RETIRED_H

#include "observe/snapshot.h"

enum retired_kind { RETIRED_SCALE, RETIRED_COMMS, RETIRED_RAIL };

/* One process's clock, the counts of its retired comms of one direction, or of its retired rails of one name. */
struct retired {
	uint64_t pid, start;
	enum retired_kind kind;
	uint64_t scale; /* of the first snapshot: the process goes on measuring its own */
	char device[64];
	struct weft_stats_rail r; /* its name, number and counters */
	struct weft_stats_comm c; /* its direction and counters */
};

struct retired_list {
	struct retired *item;
	size_t count;
};

/* Adds what has gone between two snapshots, and forgets processes that have gone. 0 or -ENOMEM. */
int retired_update(struct retired_list *list, const struct snapshot *before, const struct snapshot *now);

/* Counts of retired comms of this direction, or NULL: none. */
const struct weft_stats_comm *retired_comms(const struct retired_list *list, const struct record *r,
					    uint64_t direction);

/* Counts of retired rails of this device, name and number, or NULL: none. */
const struct weft_stats_rail *retired_rails(const struct retired_list *list, const struct record *r, const char *device,
					    const char *name, uint64_t number);

/* The sum of waits in nanoseconds. */
uint64_t retired_span_ns(const struct retired_list *list, const struct record *r, uint64_t ticks);

/* Adds the counters. */
void retired_add_comm(struct weft_stats_comm *sum, const struct weft_stats_comm *c);
void retired_add_rail(struct weft_stats_rail *sum, const struct weft_stats_rail *r);

#endif
