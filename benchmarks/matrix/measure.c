/* SPDX-License-Identifier: Apache-2.0 */
/* See measure.h. */
#include "measure.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_perf/complain.h"
#include "net_perf/pair.h"
#include "net_perf/stats.h"
#include "oob.h"
#include "plan.h"

#define LATENCY_BYTES	8
#define LATENCY_TRIAL	50
#define ITERATIONS_MAX	1000000
#define REPETITIONS_MAX 1000
#define TRIAL_MAX_BYTES (32ul << 20)
#define LATENCY_MIN	10

/* The state of one rank. */
struct job {
	const struct want *want;
	struct far *far;
	int partner; /* -1: this rank rests */
	bool alive;  /* the pair of this round works so far */
	struct pair pair;
	struct cell *row; /* of this rank */
	struct who who;
};

/* All ranks give the same orders in each round; one without a pair only takes part. 0, or -1 if a rank is lost. */
static int tell(struct job *j, const struct order *o, struct answer out[2])
{
	void *const answers[2] = {&out[0], &out[1]};
	int ret;

	memset(out, 0, 2 * sizeof(*out));
	if (j->partner < 0)
		return far_hear(j->far, NULL, answers, sizeof(*out)) < 0 ? -1 : 0;
	ret = pair_order(&j->pair, o, out);
	j->alive &= !ret;
	return j->far->told ? -1 : 0;
}

static void configure(struct job *j)
{
	const struct want *w = j->want;
	int rank = j->far->place.rank, here = 0, r, low, high;
	struct pair_config *c = &j->pair.config;
	struct setup *u = &c->setup;
	cpu_set_t set;

	for (r = 0; r < j->far->place.nranks; r++)
		here += !strcmp(oob_peer(j->far->oob, r)->host, oob_peer(j->far->oob, rank)->host);
	low = rank < j->partner ? rank : j->partner;
	high = rank < j->partner ? j->partner : rank;
	memset(c, 0, sizeof(*c));
	snprintf(c->label, sizeof(c->label), "%d-%d", low, high);
	c->plugin = w->plugin;
	c->timeout_s = (int)w->timeout_s;
	c->far = j->far;
	c->mine = rank == high;
	c->peer = j->partner;
	c->cores[0] = c->cores[1] = -1;
	u->dev = (int)w->device;
	u->abi = (int)w->abi;
	u->comms = (unsigned)w->comms;
	u->threads = (unsigned)w->threads;
	u->yield = sched_getaffinity(0, sizeof(set), &set) || CPU_COUNT(&set) < here * w->threads;
	u->tx_bytes = u->rx_bytes = pattern_area((size_t)w->bytes, (unsigned)w->depth);
}

static int start(struct job *j)
{
	struct hello unused[2];
	void *const hellos[2] = {&unused[0], &unused[1]};

	j->alive = j->partner >= 0;
	if (!j->alive)
		return far_hear(j->far, NULL, hellos, sizeof(unused[0])) < 0 ? -1 : 0;
	configure(j);
	j->alive = !pair_start(&j->pair);
	if (j->alive) {
		const struct hello *h = &j->pair.hello[j->pair.config.mine];

		snprintf(j->who.plugin, sizeof(j->who.plugin), "%s v%d", h->name, h->abi);
		snprintf(j->who.device, sizeof(j->who.device), "%s", h->device);
	}
	return j->far->told ? -1 : 0;
}

static int end(struct job *j)
{
	struct answer unused[2];
	void *const answers[2] = {&unused[0], &unused[1]};

	if (j->partner < 0)
		return far_hear(j->far, NULL, answers, sizeof(unused[0])) < 0 ? -1 : 0;
	j->alive &= !pair_end(&j->pair);
	return j->far->told ? -1 : 0;
}

/* What one run says. The rank that begins it takes the time. */
static double value_of(const struct job *j, const struct run *r, const struct answer answers[2])
{
	const struct run_result *from = &answers[r->from].run;

	if (r->pattern == PATTERN_LATENCY)
		return from->median_us;
	return from->seconds > 0 ? (double)(r->timed * r->bytes) * (double)j->want->comms / from->seconds / 1e9 : 0;
}

static void count_wrong(struct job *j, const struct answer answers[2])
{
	if (j->alive)
		j->row[j->partner].wrong += answers[!j->pair.config.mine].run.wrong;
}

/* As many messages as fit into the time of one repetition. */
static uint64_t iterations(const struct job *j, const struct run *trial, const struct answer answers[2])
{
	double share_s = (double)j->want->time_ms / 1000 / (double)j->want->repetitions;
	double took = answers[trial->from].run.seconds, n = took > 0 ? share_s / took * (double)trial->timed : 0;
	uint64_t least = trial->pattern == PATTERN_LATENCY ? LATENCY_MIN : 2 * trial->depth;

	return n < (double)least ? least : n > ITERATIONS_MAX ? ITERATIONS_MAX : (uint64_t)n;
}

/*
 * Verifies every byte of a few messages, finds the number of messages, and repeats; the median is the value. Without a pair
 * the value is 0.
 */
static int probe(struct job *j, struct run r, double *out_value)
{
	double values[REPETITIONS_MAX];
	uint64_t fit = TRIAL_MAX_BYTES / r.bytes;
	struct order o = {.kind = ORDER_RUN};
	struct answer answers[2];
	int64_t rep;

	r.depth = pattern_depth(r.pattern, r.bytes, (unsigned)j->want->depth, (unsigned)j->want->comms);
	r.check = PAYLOAD_FULL;
	r.timed = 2 * r.depth;
	o.run = r;
	if (tell(j, &o, answers))
		return -1;
	count_wrong(j, answers);
	r.check = PAYLOAD_STAMP;
	r.timed = r.pattern == PATTERN_LATENCY ? LATENCY_TRIAL : fit < 4 * r.depth ? r.depth : 4 * r.depth;
	r.warm = r.depth;
	for (rep = -1; rep < j->want->repetitions; rep++) {
		o.run = r;
		if (tell(j, &o, answers))
			return -1;
		count_wrong(j, answers);
		if (rep < 0)
			r.timed = iterations(j, &r, answers);
		else
			values[rep] = value_of(j, &r, answers);
	}
	*out_value = stats_median(values, (size_t)j->want->repetitions);
	return 0;
}

static int round_of(struct job *j)
{
	const struct run latency = {.pattern = PATTERN_LATENCY, .bytes = LATENCY_BYTES};
	struct run there = {.pattern = PATTERN_BANDWIDTH, .bytes = (size_t)j->want->bytes}, back = there;
	double us = 0, gb_per_s[2] = {0, 0};
	struct cell *cell;

	back.from = 1;
	if (start(j) || probe(j, latency, &us) || probe(j, there, &gb_per_s[0]) || probe(j, back, &gb_per_s[1]) ||
	    end(j))
		return -1;
	if (j->partner < 0)
		return 0;
	cell = &j->row[j->partner];
	cell->state = j->alive ? CELL_GOOD : CELL_FAILED;
	cell->latency_us = j->alive ? us : 0;
	cell->gb_per_s = j->alive ? gb_per_s[j->pair.config.mine] : 0;
	return 0;
}

/* Every rank gets the rows of all. */
static int gather(struct job *j, struct matrix *out)
{
	const struct oob_peer *self = oob_peer(j->far->oob, j->far->place.rank);
	size_t n = (size_t)j->far->place.nranks;

	memcpy(j->who.host, self->host, sizeof(j->who.host));
	j->who.pid = self->pid;
	out->n = (int)n;
	out->who = calloc(n, sizeof(*out->who));
	out->cells = calloc(n * n, sizeof(*out->cells));
	if (out->who && out->cells && !oob_allgather(j->far->oob, &j->who, sizeof(j->who), out->who) &&
	    !oob_allgather(j->far->oob, j->row, n * sizeof(*j->row), out->cells))
		return 0;
	far_fail(j->far, "no memory for the matrix");
	return -1;
}

int measure_all(const struct want *w, struct far *f, struct matrix *out)
{
	static struct job j; /* pair.c keeps the address of its pair */
	int n = f->place.nranks, round, ret = 0;

	j = (struct job){.want = w, .far = f, .row = calloc((size_t)n, sizeof(*j.row))};
	if (!j.row) {
		complain("no memory for the matrix");
		far_fail(f, "no memory");
		return -1;
	}
	f->tolerant = true;
	for (round = 0; round < plan_rounds(n, w->alone) && !ret; round++) {
		j.partner = plan_partner(n, w->alone, round, f->place.rank);
		ret = round_of(&j);
	}
	ret = ret ? ret : gather(&j, out);
	free(j.row);
	return ret;
}
