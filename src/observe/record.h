/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One record, read and checked as include/weft/stats.h says. What is read is a copy: the process goes on writing.
 * No text of the copy has control characters or other bytes that are not ASCII, and every text ends.
 */
#ifndef WEFT_OBSERVE_RECORD_H
#define WEFT_OBSERVE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <weft/stats.h>

#define RECORD_WHY_BYTES 128

enum record_life {
	RECORD_RUNNING,
	RECORD_STOPPED,	 /* by a signal or a debugger */
	RECORD_DEAD,	 /* killed: its record stayed behind */
	RECORD_FINISHED, /* it has closed all its endpoints */
	RECORD_UNKNOWN,	 /* of another host or container: nobody can tell */
};

struct record_endpoint {
	uint64_t index; /* in its table */
	struct weft_stats_endpoint e;
};

struct record_rail {
	uint64_t index;
	struct weft_stats_rail r;
};

struct record_comm {
	uint64_t index;
	struct weft_stats_comm c;
};

struct record_event {
	uint64_t endpoint; /* index in its table */
	uint64_t place;	   /* of the event in its endpoint */
	struct weft_stats_event e;
};

struct record {
	char *path;
	struct weft_stats_head head;
	enum record_life life;
	bool gone;			   /* the process is known to have ended */
	struct record_endpoint *endpoints; /* in use, in the order of their table */
	struct record_rail *rails;
	struct record_comm *comms;
	struct record_event *events; /* in the order of their endpoints, then of time */
	size_t endpoint_count, rail_count, comm_count, event_count;
};

/*
 * Reads the record `name` in the directory `dir`, named `dir_name` in messages. `owner`: whom the file must belong
 * to. Events are read only if they are wanted. Returns NULL if the file is refused, with the reason, a clause, in
 * why (RECORD_WHY_BYTES), which is "" for a record that its process has not finished making.
 */
struct record *record_read(int dir, const char *dir_name, const char *name, uid_t owner, bool events, char *why);

void record_free(struct record *r);

/* The endpoint of this index, or NULL. */
const struct weft_stats_endpoint *record_endpoint(const struct record *r, uint64_t index);

/*
 * The device of rail i of r->rails. The rails of an endpoint lie behind its primary one, whose name is the device's; a
 * closed endpoint's own entry may be another's by now.
 */
const char *record_rail_device(const struct record *r, size_t i);

/* The comm of this index, or NULL. */
const struct weft_stats_comm *record_comm(const struct record *r, uint64_t index);

/* "running", "stopped", "dead", "finished" or "unknown". */
const char *record_life_text(enum record_life life);

/* Replaces everything but printable ASCII in the text of `bytes` bytes by ?, and ends it at its last byte. */
void record_clean(char *text, size_t bytes);

#endif
