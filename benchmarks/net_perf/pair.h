/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's view of the two processes that measure one side (a plugin, or raw libfabric). Each side has a pair of its
 * own, because two plugins may conflict in one process: each brings a libfabric, and some read the environment only once. A
 * pair without an order sleeps. Where the two processes belong to different ranks of a job, each rank has one (far.h).
 */
#ifndef WEFT_NET_PERF_PAIR_H
#define WEFT_NET_PERF_PAIR_H

#include <sys/types.h>

#include "protocol.h"

#define PAIRS_MAX     3
#define PAIR_SWAP_MAX (16 << 10) /* most bytes that two processes exchange at once during set-up */

struct pair_config {
	char label[40];	    /* "A", "B", "raw", "3-7 rail 0" */
	const char *plugin; /* path; NULL: raw libfabric */
	const char *env;    /* "NAME=VALUE NAME=VALUE" for the processes of this pair only; or NULL */
	struct setup setup; /* pair_start fills in who, plugin and rank */
	int cores[2];	    /* by rank; -1: any core */
	int timeout_s;	    /* limit for the answer to one order; 0: none */
	struct far *far;    /* NULL: both processes are this program's. Else: */
	int mine;	    /* number of this rank's process in the pair, 0 or 1 */
	int peer;	    /* rank in the job of the other process */
};

struct pair {
	struct pair_config config;
	pid_t pids[2];	       /* 0: none, or it has ended */
	int fds[2];	       /* to the processes */
	int relay_fd;	       /* far: what the process sends to the other one of the pair */
	bool failed;	       /* far: the other functions do nothing more than to take part */
	struct hello hello[2]; /* by rank */
};

/*
 * Every function returns 0, or -1 if a process died, failed or did not answer in time, after messages on stderr that name
 * the process; like far_hear, if the pair is far. After a failure the pair is unusable. The processes of a pair end with the coordinator, however it ends.
 */

/*
 * Starts the processes and waits until they are connected. The caller has filled in `p->config`. There are at most PAIRS_MAX
 * pairs. `p` must stay at its address, because all pairs are watched while one works. A pair that has ended may be started
 * again.
 */
int pair_start(struct pair *p);

/* Sends an order to both processes and waits for both answers; out[rank]. */
int pair_order(struct pair *p, const struct order *order, struct answer out[2]);

/* Makes both processes close their connections and exit. */
int pair_end(struct pair *p);

/* For far.c. The next thing that this rank's process says: 1: *bytes (at most PAIR_SWAP_MAX) for the other process of its
 * pair; 0: an answer of *bytes; -1: it has failed, after a message, or the job has. */
int pair_listen(struct pair *p, void *out, size_t *bytes);

/* Gives to this rank's process what the other one has sent. 0 or -1. */
int pair_relay(struct pair *p, const void *data, size_t bytes);

/* Ends this rank's process, which reports why if it has failed. */
void pair_abandon(struct pair *p);

#endif
