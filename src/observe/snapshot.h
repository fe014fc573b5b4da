/* SPDX-License-Identifier: Apache-2.0 */
/* All records of this host at one time. */
#ifndef WEFT_OBSERVE_SNAPSHOT_H
#define WEFT_OBSERVE_SNAPSHOT_H

#include "observe/record.h"

/* What to read. */
struct snapshot_want {
	uint64_t pid;	  /* only this process; 0: all */
	const char *file; /* only this file; NULL: all records in their directories */
	bool events;	  /* with the flight recorders */
};

struct snapshot_refused {
	char *path;
	char why[RECORD_WHY_BYTES];
};

struct snapshot {
	uint64_t ns;	  /* CLOCK_MONOTONIC */
	uint64_t wall_ns; /* since 1970 */
	struct record **records;
	struct snapshot_refused *refused;
	size_t count, refused_count;
};

/*
 * Reads the records in WEFT_STATS_DIR, else those in /dev/shm/weft-UID or /tmp/weft-UID; for root, those of all users,
 * each in a directory in which everything must belong to that user. NULL: out of memory. The caller frees it.
 */
struct snapshot *snapshot_take(const struct snapshot_want *want);

void snapshot_free(struct snapshot *s);

/* Removes the records of processes that have ended. Returns their number; what cannot be removed is a line on stderr. */
int snapshot_clean(const struct snapshot *s);

#endif
