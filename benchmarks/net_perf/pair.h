/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two processes that measure one side (a plugin, or raw libfabric), as the coordinator sees
 * them. Each side has its own pair, because two plugins may not get along in one process: both
 * bring a libfabric, and some read the environment only once. A pair without an order sleeps.
 */
#ifndef WEFT_NET_PERF_PAIR_H
#define WEFT_NET_PERF_PAIR_H

#include <sys/types.h>

#include "protocol.h"

#define PAIRS_MAX 3

struct pair_config {
	char label[16];     /* "A", "B", "raw" */
	const char *plugin; /* path; NULL: raw */
	const char *env;    /* "NAME=VALUE NAME=VALUE", set in its processes only; or NULL */
	struct setup setup; /* who, plugin and rank are filled in */
	int cores[2];       /* by rank, -1: any */
	int timeout_s;      /* for the answer to one order; 0: none */
};

struct pair {
	struct pair_config config;
	pid_t pids[2];
	int fds[2];
	struct hello hello[2]; /* by rank */
};

/*
 * Every function returns 0, or -1 when a process died, failed or did not answer in time, after
 * messages on stderr that say which. Then nothing can be done with the pair any more. No process of
 * a pair outlives the coordinator, however that ends.
 */

/*
 * Starts the processes and waits until they are connected. `p->config` is filled in. At most
 * PAIRS_MAX pairs; `p` stays where it is, because while one pair works the others are watched, too.
 * One that has ended may be started again.
 */
int pair_start(struct pair *p);

/* Gives an order to both and waits for both answers; out[rank]. */
int pair_order(struct pair *p, const struct order *order, struct answer out[2]);

/* Lets both close their connections and end. */
int pair_end(struct pair *p);

#endif
