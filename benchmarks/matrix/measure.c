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
#include "nics.h"
#include "oob.h"
#include "plan.h"

#define LATENCY_BYTES	8
#define LATENCY_TRIAL	50
#define ITERATIONS_MAX	1000000
#define REPETITIONS_MAX 1000
#define TRIAL_MAX_BYTES (32ul << 20)
#define LATENCY_MIN	10

/* The state of one rank. `rail`: -1: all NICs of the device; else its number, and that NIC is used alone. */
struct job {
	const struct want *want;
	struct far *far;
	int partner; /* -1: this rank rests */
	int rail;
	bool alive; /* the pair of this round works so far */
	struct pair pair;
	char env[128];		    /* of the pair's process */
	struct cell *rows;	    /* of this rank: the device's, then those of the rails */
	double shares[MATRIX_NICS]; /* what the rails carried of the last pair */
	int nrails;		    /* the most that any pair has had; the same at all ranks */
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

static struct cell *cell_of(struct job *j, int rail)
{
	return &j->rows[(rail + 1) * j->far->place.nranks + j->partner];
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
	if (j->rail >= 0) {
		snprintf(c->label, sizeof(c->label), "%d-%d rail %d", low, high, j->rail);
		snprintf(j->env, sizeof(j->env), "WEFT_NICS=%s WEFT_RAILS=1", j->who.nics[j->rail]);
		c->env = j->env;
	}
	c->plugin = w->plugin;
	c->timeout_s = (int)w->timeout_s;
	c->far = j->far;
	c->mine = rank == high;
	c->peer = j->partner;
	c->cores[0] = c->cores[1] = -1;
	u->dev = j->rail < 0 ? (int)w->device : 0;
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
	if (j->alive && j->rail < 0) {
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
		cell_of(j, j->rail)->wrong += answers[!j->pair.config.mine].run.wrong;
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

/* Bandwidth there and back; the values of both directions at once are the same, since they end together. */
static int probe_bandwidth(struct job *j, double out[2])
{
	struct run run = {.pattern = PATTERN_BANDWIDTH, .bytes = (size_t)j->want->bytes};

	if (j->want->duplex) {
		run.pattern = PATTERN_BIDIR;
		if (probe(j, run, &out[0]))
			return -1;
		out[1] = out[0];
		return 0;
	}
	if (probe(j, run, &out[0]))
		return -1;
	run.from = 1;
	return probe(j, run, &out[1]);
}

/* The pair's process has carried the messages of this pair only. */
static void read_nics(struct job *j)
{
	if (j->alive && j->rail < 0 && j->want->rails)
		nics_read(j->pair.pids[j->pair.config.mine], &j->who, j->shares);
}

static int measure(struct job *j, int rail)
{
	const struct run latency = {.pattern = PATTERN_LATENCY, .bytes = LATENCY_BYTES};
	double us = 0, gb_per_s[2] = {0, 0};
	struct cell *cell;

	j->rail = rail;
	if (start(j) || probe(j, latency, &us) || probe_bandwidth(j, gb_per_s))
		return -1;
	read_nics(j);
	if (end(j))
		return -1;
	if (j->partner < 0)
		return 0;
	cell = cell_of(j, rail);
	cell->state = j->alive ? CELL_GOOD : CELL_FAILED;
	cell->latency_us = j->alive ? us : 0;
	cell->gb_per_s = j->alive ? gb_per_s[j->pair.config.mine] : 0;
	return 0;
}

/* Learns how many NICs the pair of this round has, and the most of any pair. 0, or -1 after a message. */
static int count_rails(struct job *j, int *out_mine, int *out_most)
{
	int n = j->far->place.nranks, mine = j->alive ? j->who.nnics : 0, *all = calloc((size_t)n, sizeof(*all)), i;
	int ret = all ? oob_allgather(j->far->oob, &mine, sizeof(mine), all) : -1;

	*out_mine = *out_most = 0;
	if (ret)
		far_fail(j->far, "no memory for the rails");
	for (i = 0; i < n && !ret; i++)
		*out_most = all[i] > *out_most ? all[i] : *out_most;
	if (!ret && j->partner >= 0)
		*out_mine = mine < all[j->partner] ? mine : all[j->partner];
	free(all);
	return ret;
}

/* Each NIC of the device alone; a device of one has been measured already. */
static int measure_rails(struct job *j)
{
	int partner = j->partner, mine, most, rail, ret;

	if (count_rails(j, &mine, &most))
		return -1;
	if (most < 2)
		return 0;
	j->nrails = most > j->nrails ? most : j->nrails;
	for (rail = ret = 0; rail < most && !ret; rail++) {
		j->partner = rail < mine ? partner : -1;
		ret = measure(j, rail);
		if (j->partner >= 0)
			cell_of(j, rail)->share = j->shares[rail];
	}
	return ret;
}

static int round_of(struct job *j, int partner)
{
	j->partner = partner;
	if (measure(j, -1))
		return -1;
	return j->want->rails ? measure_rails(j) : 0;
}

static int gather_rows(struct job *j, const struct cell *row, struct cell **out)
{
	size_t n = (size_t)j->far->place.nranks;

	*out = calloc(n * n, sizeof(**out));
	return *out ? oob_allgather(j->far->oob, row, n * sizeof(*row), *out) : -1;
}

/* Every rank gets the rows of all. */
static int gather(struct job *j, struct matrix *out)
{
	const struct oob_peer *self = oob_peer(j->far->oob, j->far->place.rank);
	size_t n = (size_t)j->far->place.nranks;
	int i, ret = -1;

	memcpy(j->who.host, self->host, sizeof(j->who.host));
	j->who.pid = self->pid;
	*out = (struct matrix){.n = (int)n, .nrails = j->nrails};
	out->who = calloc(n, sizeof(*out->who));
	out->rails = calloc((size_t)j->nrails + 1, sizeof(*out->rails));
	if (out->who && out->rails && !oob_allgather(j->far->oob, &j->who, sizeof(j->who), out->who))
		ret = gather_rows(j, j->rows, &out->cells);
	for (i = 0; i < j->nrails && !ret; i++) {
		out->rails[i] = (struct matrix){.n = (int)n, .who = out->who};
		ret = gather_rows(j, j->rows + (size_t)(i + 1) * n, &out->rails[i].cells);
	}
	if (ret)
		far_fail(j->far, "no memory for the matrix");
	return ret;
}

int measure_all(const struct want *w, struct far *f, struct matrix *out)
{
	static struct job j; /* pair.c keeps the address of its pair */
	int n = f->place.nranks, round, ret = 0;

	j = (struct job){.want = w, .far = f, .rows = calloc((MATRIX_NICS + 1) * (size_t)n, sizeof(*j.rows))};
	if (!j.rows) {
		complain("no memory for the matrix");
		far_fail(f, "no memory");
		return -1;
	}
	f->tolerant = true;
	for (round = 0; round < plan_rounds(n, w->alone) && !ret; round++)
		ret = round_of(&j, plan_partner(n, w->alone, round, f->place.rank));
	ret = ret ? ret : gather(&j, out);
	free(j.rows);
	return ret;
}
