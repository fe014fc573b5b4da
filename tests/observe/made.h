/* SPDX-License-Identifier: Apache-2.0 */
/* Records made by hand, for tests of what reads them. */
#ifndef TESTS_OBSERVE_MADE_H
#define TESTS_OBSERVE_MADE_H

#include <stdint.h>

#include <weft/stats.h>

#define MADE_EVENTS_EACH 16

struct made {
	char path[4096];
	void *map;
	struct weft_stats_head *head;
	struct weft_stats_endpoint *endpoint;
	struct weft_stats_rail *rail; /* two rails, eth0 and eth1 */
	struct weft_stats_comm *comm; /* `comms` entries, all free */
	struct weft_stats_event *event;
	uint64_t now; /* ticks are nanoseconds of CLOCK_MONOTONIC */
	uint64_t bytes;
};

struct made_want {
	const char *dir;
	uint64_t pid; /* that lives, or not */
	uint32_t comms;
	const char *host, *peer_host;
	uint64_t peer_pid;
	uint64_t start, pid_namespace; /* 0: as they are */
};

/* Makes a record of a process with one endpoint that works for 100 s. Returns 0 or -1 with a line on stderr. */
int made_open(struct made *m, const struct made_want *want);

/* A connection, healthy: 1000 messages of 1 MiB a second. */
struct weft_stats_comm *made_comm(struct made *m, const struct made_want *want, uint32_t index, int direction);

/* Changes the record to what the scenario is about: 0, or -1: there is no such scenario. */
int made_scenario(struct made *m, const struct made_want *want, const char *scenario);

void made_close(struct made *m);

#endif
