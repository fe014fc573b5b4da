/* SPDX-License-Identifier: Apache-2.0 */
/* Which points are measured, in which order and how often. Not for printing: report.h. */
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
 * One side at one point. Values are half a round in us (latency), 10^9 bytes/s (bandwidth; bidir:
 * both directions together), or messages/s (rate).
 */
struct measured {
	double *values, *p99s;  /* of each repetition; p99s: latency only */
	double value, p99;      /* their medians */
	double instructions[2]; /* per message, by rank, median; < 0: not known */
	uint64_t iterations;    /* of each repetition */
	uint64_t wrong;         /* messages that arrived with wrong data, all runs together */
	uint64_t preemptions;   /* of both processes in all repetitions together */
	enum raw_op op;         /* raw: the one that was better, if both were asked for */
};

/* Called for each point when it has been measured on all sides. */
typedef void (*sweep_show)(void *arg, const struct point *p, const struct measured *m);

/*
 * Measures everything the command line asks for on `nsides` started pairs, in turn, so that what
 * disturbs the machine disturbs all. 0 and the number of wrong messages, or -1 after a message.
 */
int sweep(const struct cli *c, struct pair *sides, int nsides, sweep_show show, void *arg,
	  uint64_t *out_wrong);

/* The operations that the raw side measures: one, or both where the better one is shown. */
unsigned sweep_raw_ops(const struct cli *c);

/* The next size after `bytes`. */
size_t sweep_next(const struct cli *c, size_t bytes);

/* Whether this pattern is measured at this size. */
bool sweep_has(const struct cli *c, enum pattern p, size_t bytes);

/* The largest areas that any point needs (struct setup), and the raw operations; the same for all
 * sides. */
void sweep_needs(const struct cli *c, struct setup *out);

#endif
