/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes one record: make-record DIR PID SCENARIO [comms=N] [host=NAME] [peer_host=NAME] [peer_pid=PID]
 * [start=N] [namespace=N]; prints its path.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "observe/made.h"

/* A process that connects, counts and closes all the time, as fast as it can. */
static void churn(struct made *m, const struct made_want *want)
{
	struct weft_stats_comm *c;
	uint64_t n;

	for (n = 0;; n++) {
		uint32_t index = (uint32_t)(n % want->comms);
		uint64_t generation = m->comm[index].generation;

		c = &m->comm[index];
		__atomic_store_n(&c->generation, generation | 1, __ATOMIC_RELEASE);
		made_comm(m, want, index, (int)(n % 2));
		c->state = n % 6;
		c->oldest = c->asked = n % 3 ? m->now : 0;
		__atomic_store_n(&c->generation, (generation | 1) + 1, __ATOMIC_RELEASE);
		m->endpoint->event_end += 7;
		memset(&m->event[n % MADE_EVENTS_EACH], (int)n, sizeof(*m->event));
	}
}

int main(int argc, char **argv)
{
	struct made_want want = {.comms = 8, .host = "node1", .peer_host = "node2", .peer_pid = 777};
	struct made m;
	int i;

	if (argc < 4) {
		fprintf(stderr,
			"usage: make-record DIR PID SCENARIO [comms=N] [host=NAME] [peer_host=NAME] [peer_pid=PID] "
			"[start=N] [namespace=N]\n");
		return 2;
	}
	want.dir = argv[1];
	want.pid = strtoull(argv[2], NULL, 10);
	for (i = 4; i < argc; i++) {
		if (!strncmp(argv[i], "comms=", 6))
			want.comms = (uint32_t)atoi(argv[i] + 6);
		else if (!strncmp(argv[i], "host=", 5))
			want.host = argv[i] + 5;
		else if (!strncmp(argv[i], "peer_host=", 10))
			want.peer_host = argv[i] + 10;
		else if (!strncmp(argv[i], "peer_pid=", 9))
			want.peer_pid = strtoull(argv[i] + 9, NULL, 10);
		else if (!strncmp(argv[i], "start=", 6))
			want.start = strtoull(argv[i] + 6, NULL, 10);
		else if (!strncmp(argv[i], "namespace=", 10))
			want.pid_namespace = strtoull(argv[i] + 10, NULL, 10);
	}
	if (made_open(&m, &want))
		return 1;
	if (made_scenario(&m, &want, argv[3])) {
		fprintf(stderr, "make-record: there is no scenario %s\n", argv[3]);
		return 2;
	}
	puts(m.path);
	if (!strcmp(argv[3], "churn"))
		churn(&m, &want);
	made_close(&m);
	return 0;
}
