/* SPDX-License-Identifier: Apache-2.0 */
/* See measure.h. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_perf/complain.h"
#include "net_perf/trial.h"
#include "oob.h"
#include "plan.h"

/* The state of one rank. */
struct job {
	const struct want *want;
	struct trial trial;
	struct cell *row; /* of this rank */
	struct who who;
};

/* What a round says of its pair, of the plugin or of raw libfabric. */
struct said {
	double latency_us, gb_per_s[2]; /* gb_per_s[i]: from the pair's process i */
};

static void configure(struct job *j, bool raw)
{
	const struct want *w = j->want;
	struct pair_config *c = &j->trial.pair.config;
	struct setup *u = &c->setup;

	trial_prepare(&j->trial, w->threads);
	c->plugin = raw ? NULL : w->plugin;
	c->timeout_s = (int)w->timeout_s;
	u->dev = (int)w->device;
	u->abi = (int)w->abi;
	u->comms = (unsigned)w->comms;
	u->tx_bytes = pattern_area((size_t)w->bytes, (unsigned)w->depth);
	u->rx_bytes = pattern_area((size_t)w->bytes, (unsigned)(raw ? 2 * w->depth : w->depth));
	u->raw_ops = raw ? RAW_TAGGED | RAW_WRITEDATA : 0;
	/* The path of Weft's device; of another plugin's device, libfabric may not know the name. */
	if (raw && !strncmp(j->who.plugin, "weft ", 5))
		snprintf(u->nics, sizeof(u->nics), "%s", j->who.device);
}

static void note_plugin(struct job *j)
{
	const struct hello *h = &j->trial.pair.hello[j->trial.pair.config.mine];

	snprintf(j->who.plugin, sizeof(j->who.plugin), "%s v%d", h->name, h->abi);
	snprintf(j->who.device, sizeof(j->who.device), "%s", h->device);
}

static void note_raw(struct job *j)
{
	const struct raw_facts *f = &j->trial.pair.hello[j->trial.pair.config.mine].raw;

	snprintf(j->who.raw, sizeof(j->who.raw), "libfabric %s, %s on %s", f->version, f->provider, f->domain);
}

static int measure(struct job *j, bool raw, struct said *out)
{
	struct trial *t = &j->trial;
	const struct run latency = {.pattern = PATTERN_LATENCY, .bytes = TRIAL_LATENCY_BYTES};
	struct run there = {.pattern = PATTERN_BANDWIDTH, .bytes = (size_t)j->want->bytes}, back = there;

	back.from = 1;
	configure(j, raw);
	if (trial_start(t))
		return -1;
	if (t->alive && raw)
		note_raw(j);
	else if (t->alive)
		note_plugin(j);
	if (trial_probe(t, latency, &out->latency_us) || trial_probe(t, there, &out->gb_per_s[0]) ||
	    trial_probe(t, back, &out->gb_per_s[1]) || trial_end(t))
		return -1;
	if (t->partner >= 0)
		j->row[t->partner].wrong += t->wrong;
	return 0;
}

static int round_of(struct job *j)
{
	struct trial *t = &j->trial;
	struct cell *cell = t->partner < 0 ? NULL : &j->row[t->partner];
	struct said said;
	int mine;

	if (measure(j, false, &said))
		return -1;
	mine = t->pair.config.mine;
	if (cell)
		cell->state = t->alive ? CELL_GOOD : CELL_FAILED;
	if (cell && t->alive) {
		cell->latency_us = said.latency_us;
		cell->gb_per_s = said.gb_per_s[mine];
	}
	if (!j->want->roof)
		return 0;
	if (measure(j, true, &said))
		return -1;
	if (cell && t->alive) {
		cell->raw_latency_us = said.latency_us;
		cell->raw_gb_per_s = said.gb_per_s[mine];
	}
	return 0;
}

/* Every rank gets the rows of all. */
static int gather(struct job *j, struct matrix *out)
{
	const struct oob_peer *self = oob_peer(j->trial.far->oob, j->trial.far->place.rank);
	size_t n = (size_t)j->trial.far->place.nranks;

	memcpy(j->who.host, self->host, sizeof(j->who.host));
	j->who.pid = self->pid;
	out->n = (int)n;
	out->who = calloc(n, sizeof(*out->who));
	out->cells = calloc(n * n, sizeof(*out->cells));
	if (out->who && out->cells && !oob_allgather(j->trial.far->oob, &j->who, sizeof(j->who), out->who) &&
	    !oob_allgather(j->trial.far->oob, j->row, n * sizeof(*j->row), out->cells))
		return 0;
	far_fail(j->trial.far, "no memory for the matrix");
	return -1;
}

int measure_all(const struct want *w, struct far *f, struct matrix *out)
{
	static struct job j; /* pair.c keeps the address of its pair */
	int n = f->place.nranks, round, ret = 0;

	j = (struct job){
		.want = w,
		.trial = {.far = f, .time_ms = w->time_ms, .repetitions = w->repetitions, .depth = (unsigned)w->depth},
		.row = calloc((size_t)n, sizeof(*j.row))};
	if (!j.row) {
		complain("no memory for the matrix");
		far_fail(f, "no memory");
		return -1;
	}
	f->tolerant = true;
	for (round = 0; round < plan_rounds(n, w->alone) && !ret; round++) {
		j.trial.partner = plan_partner(n, w->alone, round, f->place.rank);
		ret = round_of(&j);
	}
	ret = ret ? ret : gather(&j, out);
	free(j.row);
	return ret;
}
