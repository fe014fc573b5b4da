/* SPDX-License-Identifier: Apache-2.0 */
/* Measures many connections: 1, 2, 5, 10, ... pairs, each with a send comm and a receive comm per process. */
#ifndef WEFT_NET_PERF_CURVE_H
#define WEFT_NET_PERF_CURVE_H

#include "cli.h"
#include "pair.h"

/* Changes of one side since the previous row. Memory is the mean of the two processes. */
struct curve_step {
	double us_per_pair;  /* set-up time */
	double kib_per_pair; /* growth of resident memory */
	double total_kib;    /* growth since the time before the first pair */
};

/* Called for each row; `pairs` are open. 0: all pairs have been closed, and us_per_pair is the time of closing. */
typedef void (*curve_show)(void *arg, unsigned pairs, const struct curve_step *steps);

/* Returns like sweep(). */
int curve(const struct cli *c, struct pair *sides, int nsides, curve_show show, void *arg, uint64_t *out_wrong);

/* The number of pairs in the row after `pairs`: 1, 2, 5, 10, 20, 50 and so on, and finally `most`. */
unsigned curve_next(unsigned pairs, unsigned most);

#endif
