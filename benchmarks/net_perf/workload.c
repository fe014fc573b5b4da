/* SPDX-License-Identifier: Apache-2.0 */
/* See workload.h. */
#include "workload.h"

#include <stdlib.h>

#include "complain.h"
#include "stats.h"
#include "sweep.h"

#define MESSAGES 400 /* messages per comm, unless --iters is given */
#define WARM	 50

enum { RATE, BANDWIDTH, P50, P99, VALUES };

static double larger(double a, double b)
{
	return a > b ? a : b;
}

/* values: NULL for a warm-up run. */
static int once(struct pair *p, uint64_t seed, unsigned messages, double *values[VALUES], int rep, uint64_t *wrong)
{
	struct order order = {.kind = ORDER_MIX, .mix = {.seed = seed, .messages = messages}};
	const struct mix_result *a, *b;
	struct answer answers[2];
	double seconds;

	if (pair_order(p, &order, answers))
		return -1;
	a = &answers[0].mix;
	b = &answers[1].mix;
	*wrong += a->wrong + b->wrong;
	if (!values)
		return 0;
	seconds = larger(a->seconds, b->seconds);
	values[RATE][rep] = (double)(a->messages + b->messages) / seconds;
	values[BANDWIDTH][rep] = (double)(a->bytes + b->bytes) / seconds / 1e9;
	values[P50][rep] = larger(a->p50_us, b->p50_us);
	values[P99][rep] = larger(a->p99_us, b->p99_us);
	return 0;
}

static int open_links(const struct cli *c, struct pair *sides, int nsides, uint64_t *wrong)
{
	struct order order = {.kind = ORDER_LINKS, .links = (unsigned)c->workload};
	struct answer answers[2];
	int i;

	for (i = 0; i < nsides; i++)
		if (pair_order(&sides[i], &order, answers) || once(&sides[i], 0, WARM, NULL, 0, wrong))
			return -1;
	return 0;
}

static int close_links(struct pair *sides, int nsides)
{
	struct order order = {.kind = ORDER_CLOSE_LINKS};
	struct answer answers[2];
	int i;

	for (i = 0; i < nsides; i++)
		if (pair_order(&sides[i], &order, answers))
			return -1;
	return 0;
}

int workload(const struct cli *c, struct pair *sides, int nsides, struct workload_result *out, uint64_t *out_wrong)
{
	size_t reps = (size_t)c->repetitions;
	double *room = calloc((size_t)nsides * VALUES * reps, sizeof(*room)), *values[SIDES_MAX][VALUES];
	unsigned messages = c->iterations ? (unsigned)c->iterations : MESSAGES;
	int i, v, rep, ret;

	*out_wrong = 0;
	if (!room) {
		complain("no memory for %d repetitions", (int)reps);
		return -1;
	}
	for (i = 0; i < nsides; i++)
		for (v = 0; v < VALUES; v++)
			values[i][v] = room + ((size_t)i * VALUES + (size_t)v) * reps;
	ret = open_links(c, sides, nsides, out_wrong);
	for (rep = 0; rep < (int)reps && !ret; rep++)
		for (i = 0; i < nsides && !ret; i++) {
			int side = rep % 2 ? nsides - 1 - i : i; /* no side always follows the same one */

			ret = once(&sides[side], (uint64_t)c->seed + (uint64_t)rep, messages, values[side], rep,
				   out_wrong);
		}
	for (i = 0; i < nsides; i++)
		out[i] = (struct workload_result){.messages_per_s = stats_median(values[i][RATE], reps),
						  .gb_per_s = stats_median(values[i][BANDWIDTH], reps),
						  .p50_us = stats_median(values[i][P50], reps),
						  .p99_us = stats_median(values[i][P99], reps)};
	free(room);
	return ret ? ret : close_links(sides, nsides);
}
