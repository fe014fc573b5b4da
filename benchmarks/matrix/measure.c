/* SPDX-License-Identifier: Apache-2.0 */
/* See measure.h. */
#include "measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "expect.h"
#include "net_perf/complain.h"
#include "net_perf/trial.h"
#include "nic_path.h"
#include "oob.h"
#include "plan.h"

/* What is measured: all NICs of the device, raw libfabric on them, or (from 0 on) one NIC of the device alone. */
enum { RAW = -2, DEVICE = -1 };

/* The state of one rank. */
struct job {
	const struct want *want;
	struct trial trial;
	char env[128];		    /* of the pair's process */
	struct cell *rows;	    /* of this rank: the device's, then those of the rails */
	double shares[MATRIX_NICS]; /* what the rails carried of the last pair */
	int nrails;		    /* the most that any pair has had; the same at all ranks */
	struct who who;
};

/* What a round says of its pair, of the plugin or of raw libfabric. */
struct said {
	double latency_us, gb_per_s[2]; /* gb_per_s[i]: from the pair's process i */
};

static struct cell *cell_of(struct job *j, int rail)
{
	return &j->rows[(rail + 1) * j->trial.far->place.nranks + j->trial.partner];
}

static void use_nic(struct job *j, int rail)
{
	struct pair_config *c = &j->trial.pair.config;
	size_t n = strlen(c->label);

	snprintf(c->label + n, sizeof(c->label) - n, " rail %d", rail);
	snprintf(j->env, sizeof(j->env), "WEFT_NICS=%s WEFT_RAILS=1", j->who.nics[rail]);
	c->env = j->env;
	c->setup.dev = 0;
}

static void configure(struct job *j, int what)
{
	bool raw = what == RAW;
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
	if (what >= 0 && j->trial.partner >= 0)
		use_nic(j, what);
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

/* Bandwidth there and back; the values of both directions at once are the same, since they end together. */
static int probe_bandwidth(struct job *j, double out[2])
{
	struct run run = {.pattern = PATTERN_BANDWIDTH, .bytes = (size_t)j->want->bytes};

	if (j->want->duplex) {
		run.pattern = PATTERN_BIDIR;
		if (trial_probe(&j->trial, run, &out[0]))
			return -1;
		out[1] = out[0];
		return 0;
	}
	if (trial_probe(&j->trial, run, &out[0]))
		return -1;
	run.from = 1;
	return trial_probe(&j->trial, run, &out[1]);
}

/* The pair's process tells its NICs, and what they have carried: the messages of this pair only. */
static void read_nics(struct job *j)
{
	const struct pair *p = &j->trial.pair;
	struct who *w = &j->who;
	struct nic_path path;
	double all = 0;
	int i;

	if (!j->trial.alive)
		return;
	nic_path_read(p->pids[p->config.mine], &path);
	w->nnics = path.nnics < MATRIX_NICS ? path.nnics : MATRIX_NICS;
	w->inside = path.inside;
	memcpy(w->source, path.source, sizeof(w->source));
	for (i = 0; i < w->nnics; i++) {
		memcpy(w->nics[i], path.nics[i].name, sizeof(w->nics[i]));
		w->mbps[i] = path.nics[i].mbps;
		all += (double)path.nics[i].sent;
	}
	for (i = 0; i < MATRIX_NICS; i++)
		j->shares[i] = i < w->nnics && all > 0 ? (double)path.nics[i].sent / all : 0;
}

static void note_process(struct job *j, int what)
{
	if (j->trial.alive && what == RAW)
		note_raw(j);
	else if (j->trial.alive && what == DEVICE)
		note_plugin(j);
}

static void fill_in(struct job *j, int what, const struct said *said)
{
	const struct trial *t = &j->trial;
	struct cell *cell = cell_of(j, what == RAW ? DEVICE : what);
	double gb_per_s = said->gb_per_s[t->pair.config.mine];

	cell->wrong += t->wrong;
	if (what != RAW)
		cell->state = t->alive ? CELL_GOOD : CELL_FAILED;
	if (!t->alive)
		return;
	*(what == RAW ? &cell->raw_latency_us : &cell->latency_us) = said->latency_us;
	*(what == RAW ? &cell->raw_gb_per_s : &cell->gb_per_s) = gb_per_s;
}

static int measure(struct job *j, int what)
{
	struct trial *t = &j->trial;
	const struct run latency = {.pattern = PATTERN_LATENCY, .bytes = TRIAL_LATENCY_BYTES};
	struct said said;

	configure(j, what);
	if (trial_start(t))
		return -1;
	note_process(j, what);
	if (trial_probe(t, latency, &said.latency_us) || probe_bandwidth(j, said.gb_per_s))
		return -1;
	if (what == DEVICE)
		read_nics(j);
	if (trial_end(t))
		return -1;
	if (t->partner >= 0)
		fill_in(j, what, &said);
	return 0;
}

/* Learns how many NICs the pair of this round has, and the most of any pair. 0, or -1 after a message. */
static int count_rails(struct job *j, int *out_mine, int *out_most)
{
	int n = j->trial.far->place.nranks, mine = j->trial.alive ? j->who.nnics : 0,
	    *all = calloc((size_t)n, sizeof(*all)), i;
	int ret = all ? oob_allgather(j->trial.far->oob, &mine, sizeof(mine), all) : -1;

	*out_mine = *out_most = 0;
	if (ret)
		far_fail(j->trial.far, "no memory for the rails");
	for (i = 0; i < n && !ret; i++)
		*out_most = all[i] > *out_most ? all[i] : *out_most;
	if (!ret && j->trial.partner >= 0)
		*out_mine = mine < all[j->trial.partner] ? mine : all[j->trial.partner];
	free(all);
	return ret;
}

/* Each NIC of the device alone; a device of one has been measured already. */
static int measure_rails(struct job *j)
{
	int partner = j->trial.partner, mine, most, rail, ret;

	if (count_rails(j, &mine, &most))
		return -1;
	if (most < 2)
		return 0;
	j->nrails = most > j->nrails ? most : j->nrails;
	for (rail = ret = 0; rail < most && !ret; rail++) {
		j->trial.partner = rail < mine ? partner : -1;
		ret = measure(j, rail);
		if (j->trial.partner >= 0)
			cell_of(j, rail)->share = j->shares[rail];
	}
	return ret;
}

static int round_of(struct job *j, int partner)
{
	j->trial.partner = partner;
	if (measure(j, DEVICE))
		return -1;
	if (j->want->rails && measure_rails(j))
		return -1;
	j->trial.partner = partner;
	return j->want->roof ? measure(j, RAW) : 0;
}

static int gather_rows(struct job *j, const struct cell *row, struct cell **out)
{
	size_t n = (size_t)j->trial.far->place.nranks;

	*out = calloc(n * n, sizeof(**out));
	return *out ? oob_allgather(j->trial.far->oob, row, n * sizeof(*row), *out) : -1;
}

/* Every rank gets the rows of all. */
static int gather(struct job *j, struct matrix *out)
{
	const struct oob_peer *self = oob_peer(j->trial.far->oob, j->trial.far->place.rank);
	size_t n = (size_t)j->trial.far->place.nranks;
	int i, ret = -1;

	memcpy(j->who.host, self->host, sizeof(j->who.host));
	j->who.pid = self->pid;
	*out = (struct matrix){.n = (int)n, .nrails = j->nrails};
	out->who = calloc(n, sizeof(*out->who));
	out->rails = calloc((size_t)j->nrails + 1, sizeof(*out->rails));
	if (out->who && out->rails && !oob_allgather(j->trial.far->oob, &j->who, sizeof(j->who), out->who))
		ret = gather_rows(j, j->rows, &out->cells);
	for (i = 0; i < j->nrails && !ret; i++) {
		out->rails[i] = (struct matrix){.n = (int)n, .who = out->who};
		ret = gather_rows(j, j->rows + (size_t)(i + 1) * n, &out->rails[i].cells);
	}
	if (!ret)
		ret = expect_fill(out, (struct expect_plan){.alone = j->want->alone, .duplex = j->want->duplex});
	if (ret)
		far_fail(j->trial.far, "no memory for the matrix");
	return ret;
}

int measure_all(const struct want *w, struct far *f, struct matrix *out)
{
	static struct job j; /* pair.c keeps the address of its pair */
	int n = f->place.nranks, round, ret = 0;

	j = (struct job){
		.want = w,
		.trial = {.far = f, .time_ms = w->time_ms, .repetitions = w->repetitions, .depth = (unsigned)w->depth},
		.rows = calloc((MATRIX_NICS + 1) * (size_t)n, sizeof(*j.rows))};
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
