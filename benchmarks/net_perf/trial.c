/* SPDX-License-Identifier: Apache-2.0 */
/* See trial.h. */
#include "trial.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "oob.h"
#include "stats.h"

#define LATENCY_TRIAL	50
#define LATENCY_MIN	10
#define ITERATIONS_MAX	1000000
#define TRIAL_MAX_BYTES (32ul << 20)

void trial_prepare(struct trial *t, int64_t threads)
{
	int rank = t->far->place.rank, here = 0, r;
	int low = rank < t->partner ? rank : t->partner, high = rank < t->partner ? t->partner : rank;
	struct pair_config *c = &t->pair.config;
	cpu_set_t set;

	for (r = 0; r < t->far->place.nranks; r++)
		here += !strcmp(oob_peer(t->far->oob, r)->host, oob_peer(t->far->oob, rank)->host);
	memset(c, 0, sizeof(*c));
	snprintf(c->label, sizeof(c->label), "%d-%d", low, high);
	c->far = t->far;
	c->mine = rank == high;
	c->peer = t->partner;
	c->cores[0] = c->cores[1] = -1;
	c->setup.threads = (unsigned)threads;
	c->setup.yield = sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < here * threads;
}

/* A rank without a pair only hears what the others say. */
static int rest(struct trial *t, void *out, size_t bytes)
{
	void *const answers[2] = {out, (char *)out + bytes};

	return far_hear(t->far, NULL, answers, bytes) < 0 ? -1 : 0;
}

int trial_start(struct trial *t)
{
	struct hello unused[2];

	t->wrong = 0;
	t->alive = t->partner >= 0;
	if (!t->alive)
		return rest(t, unused, sizeof(unused[0]));
	t->alive = !pair_start(&t->pair);
	return t->far->told ? -1 : 0;
}

/* All ranks give the same orders. */
static int tell(struct trial *t, const struct order *o, struct answer out[2])
{
	memset(out, 0, 2 * sizeof(*out));
	if (t->partner < 0)
		return rest(t, out, sizeof(*out));
	t->alive &= !pair_order(&t->pair, o, out);
	if (t->alive)
		t->wrong += out[!t->pair.config.mine].run.wrong;
	return t->far->told ? -1 : 0;
}

/* What one run says. The rank that begins it takes the time. */
static double value_of(const struct trial *t, const struct run *r, const struct answer answers[2])
{
	const struct run_result *from = &answers[r->from].run;

	if (r->pattern == PATTERN_LATENCY)
		return from->median_us;
	return from->seconds > 0
		       ? (double)(r->timed * r->bytes) * (double)t->pair.config.setup.comms / from->seconds / 1e9
		       : 0;
}

/* As many messages as fit into the time of one repetition. */
static uint64_t iterations(const struct trial *t, const struct run *r, const struct answer answers[2])
{
	double share_s = (double)t->time_ms / 1000 / (double)t->repetitions;
	double took = answers[r->from].run.seconds, n = took > 0 ? share_s / took * (double)r->timed : 0;
	uint64_t least = r->pattern == PATTERN_LATENCY ? LATENCY_MIN : 2 * r->depth;

	return n < (double)least ? least : n > ITERATIONS_MAX ? ITERATIONS_MAX : (uint64_t)n;
}

/* Verifies every byte of a few messages, finds the number of messages, and repeats. */
static int probe(struct trial *t, struct run r, enum raw_op op, double *out_value)
{
	double values[TRIAL_REPETITIONS_MAX];
	uint64_t fit = TRIAL_MAX_BYTES / r.bytes;
	struct order o = {.kind = ORDER_RUN, .op = op};
	struct answer answers[2];
	int64_t rep;

	r.check = PAYLOAD_FULL;
	r.timed = 2 * r.depth;
	o.run = r;
	if (tell(t, &o, answers))
		return -1;
	r.check = PAYLOAD_STAMP;
	r.timed = r.pattern == PATTERN_LATENCY ? LATENCY_TRIAL : fit < 4 * r.depth ? r.depth : 4 * r.depth;
	r.warm = r.depth;
	for (rep = -1; rep < t->repetitions; rep++) {
		o.run = r;
		if (tell(t, &o, answers))
			return -1;
		if (rep < 0)
			r.timed = iterations(t, &r, answers);
		else
			values[rep] = value_of(t, &r, answers);
	}
	*out_value = stats_median(values, (size_t)t->repetitions);
	return 0;
}

int trial_probe(struct trial *t, struct run r, double *out_value)
{
	unsigned ops = t->pair.config.setup.raw_ops, op;
	double value;

	r.depth = pattern_depth(r.pattern, r.bytes, t->depth, t->pair.config.setup.comms);
	if (!ops)
		return probe(t, r, RAW_TAGGED, out_value);
	*out_value = 0;
	for (op = RAW_TAGGED; op <= RAW_WRITEDATA; op <<= 1) {
		if (!(ops & op))
			continue;
		if (probe(t, r, (enum raw_op)op, &value))
			return -1;
		if (*out_value == 0 || (r.pattern == PATTERN_LATENCY ? value < *out_value : value > *out_value))
			*out_value = value;
	}
	return 0;
}

int trial_end(struct trial *t)
{
	struct answer unused[2];

	if (t->partner < 0)
		return rest(t, unused, sizeof(unused[0]));
	t->alive &= !pair_end(&t->pair);
	return t->far->told ? -1 : 0;
}
