/* SPDX-License-Identifier: Apache-2.0 */
/* Selects the points of a measurement, and measures them in turn. report.h prints them. */
#ifndef WEFT_NET_PERF_SWEEP_H
#define WEFT_NET_PERF_SWEEP_H

#include "cli.h"
#include "pair.h"

#define SIDES_MAX PAIRS_MAX /* A, B, raw */

struct point {
	enum pattern pattern;
	size_t bytes;
	unsigned depth;
};

/*
 * Results of one side at one point. Values are half a round trip in us (latency), 10^9 bytes/s (bandwidth), or messages/s
 * (rate), of all comms and, for bidir and birate, both directions together.
 */
struct measured {
	double *values, *p99s;	/* one value per repetition; p99s: latency only */
	double value, p99;	/* medians of the above */
	double instructions[2]; /* by rank: median number per message; < 0: unknown */
	uint64_t iterations;	/* number in each repetition, of each comm */
	uint64_t wrong;		/* number of messages with wrong data in all runs */
	uint64_t preemptions;	/* total of both processes in all repetitions */
	enum raw_op op;		/* raw: the better operation, if both were measured */
};

/* Called for each point after it has been measured on all sides. */
typedef void (*sweep_show)(void *arg, const struct point *p, const struct measured *m);

/*
 * Measures all points of the command line on `nsides` started pairs. The pairs take turns, so disturbances of the machine
 * affect all of them. 0 and the number of wrong messages, or -1 after a message.
 */
int sweep(const struct cli *c, struct pair *sides, int nsides, sweep_show show, void *arg, uint64_t *out_wrong);

/* The operations that the raw side measures: one, or both, of which the better one is shown. */
unsigned sweep_raw_ops(const struct cli *c);

/* The next size after `bytes`. */
size_t sweep_next(const struct cli *c, size_t bytes);

/* Is this pattern measured at this size? */
bool sweep_has(const struct cli *c, enum pattern p, size_t bytes);

/* Fills in the largest areas that any point needs and the raw operations, which are the same for all sides. */
void sweep_needs(const struct cli *c, struct setup *out);

#endif
