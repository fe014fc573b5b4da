/* SPDX-License-Identifier: Apache-2.0 */
#include "net_perf/trial.h"
#include "nic_path.h"
#include "progress.h"
#include "ring_plan.h"
#include "roof.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 3, TIME_MS = 60, REPETITIONS = 3, TIMEOUT_S = 60 };

/* The state of one rank. */
struct job {
	const struct settings *s;
	const struct team *team;
	struct roof *roof;
	struct far far;
	struct trial trial;
	struct nic_path path;
	char env[256];
	int comms; /* connections of each link; the same on all ranks */
	struct roof_link links[ROUNDS];
	struct roof_rank self;
};

static size_t message_at(const struct settings *s, int nranks, int64_t bytes)
{
	size_t elem_bytes = type_facts[s->types[0]].bytes;

	return roof_message(s, nranks, elem_bytes, collective_count(s->what, nranks, elem_bytes, bytes), bytes);
}

/* As many messages in flight to a neighbour as the channels have together. */
static unsigned depth(const struct settings *s)
{
	return s->channels * RING_SLOTS < FLOW_DEPTH ? (unsigned)s->channels * RING_SLOTS : FLOW_DEPTH;
}

static void configure(struct job *j)
{
	struct pair_config *c = &j->trial.pair.config;
	struct setup *u = &c->setup;
	size_t most = j->roof->bytes[j->roof->nsizes - 1];
	unsigned fits = pattern_depth(PATTERN_BIDIR, most, depth(j->s), (unsigned)j->comms);

	trial_prepare(&j->trial, 1);
	c->env = *j->env ? j->env : NULL;
	c->timeout_s = TIMEOUT_S;
	u->raw_ops = RAW_TAGGED | RAW_WRITEDATA;
	u->comms = (unsigned)j->comms;
	u->tx_bytes = pattern_area(most, fits);
	u->rx_bytes = pattern_area(most, 2 * fits);
	for (int k = 0; k < j->roof->nsizes - 1; k++) {
		size_t bytes = j->roof->bytes[k];
		size_t area = pattern_area(bytes, 2 * pattern_depth(PATTERN_BIDIR, bytes, depth(j->s), u->comms));

		u->rx_bytes = area > u->rx_bytes ? area : u->rx_bytes;
		u->tx_bytes = area > u->tx_bytes ? area : u->tx_bytes;
	}
	snprintf(u->nics, sizeof(u->nics), "%s", j->path.paths);
}

static void note_raw(struct job *j)
{
	const struct raw_facts *f = &j->trial.pair.hello[j->trial.pair.config.mine].raw;
	char *nics = j->self.nics;

	snprintf(j->self.raw, sizeof(j->self.raw), "libfabric %s, %s", f->version, f->provider);
	*nics = 0;
	for (int i = 0; i < j->path.nnics; i++)
		snprintf(nics + strlen(nics), sizeof(j->self.nics) - strlen(nics), "%s%s", i ? "," : "",
			 j->path.nics[i].name);
	if (!*nics)
		snprintf(nics, sizeof(j->self.nics), "%s", f->domain);
}

/* One round: the links that share no rank, at once. -1: a rank is lost. */
static int measure_round(struct job *j, int round)
{
	const struct team *g = j->team;
	struct trial *t = &j->trial;
	struct roof_link *l = &j->links[round];
	int partner = roof_partner(g->nranks, round, g->rank), me = j->far.place.rank;
	struct run r = {.pattern = PATTERN_LATENCY, .bytes = TRIAL_LATENCY_BYTES};

	t->partner = partner < 0 ? -1 : team_job_rank(g, partner);
	configure(j);
	if (trial_start(t))
		return -1;
	if (t->alive)
		note_raw(j);
	if (trial_probe(t, r, &l->latency_us))
		return -1;
	for (int k = 0; k < j->roof->nsizes; k++) {
		progress_show("measuring raw libfabric", (int64_t)round * j->roof->nsizes + k,
			      (int64_t)ROUNDS * j->roof->nsizes);
		r = (struct run){.pattern = PATTERN_BIDIR, .bytes = j->roof->bytes[k]};
		if (trial_probe(t, r, &l->gb_per_s[k]))
			return -1;
	}
	if (trial_end(t))
		return -1;
	l->good = t->alive && !t->wrong;
	/* Both ranks know the same of their link; one tells. */
	l->low = me < t->partner ? me : -1;
	l->high = t->partner;
	return 0;
}

static int gather(struct job *j)
{
	struct roof *r = j->roof;
	size_t n = (size_t)oob_nranks(j->far.oob);

	r->nranks = (int)n;
	r->links = calloc(n * ROUNDS, sizeof(*r->links));
	r->ranks = calloc(n, sizeof(*r->ranks));
	if (!r->links || !r->ranks)
		return -ENOMEM;
	if (oob_allgather(j->far.oob, j->links, sizeof(j->links), r->links) ||
	    oob_allgather(j->far.oob, &j->self, sizeof(j->self), r->ranks))
		return -EPIPE;
	for (size_t i = 0; i < n * ROUNDS; i++)
		if (r->links[i].low >= 0)
			r->links[r->nlinks++] = r->links[i];
	r->connections = j->comms;
	roof_settle(r);
	return 0;
}

/* Reads this rank's path, and agrees with the others on the number of connections. */
static int prepare(struct job *j)
{
	size_t n = (size_t)oob_nranks(j->far.oob);
	int *all = calloc(n, sizeof(*all)), failed;

	nic_path_read(getpid(), &j->path);
	if (!all)
		return -ENOMEM;
	failed = oob_allgather(j->far.oob, &j->path.npaths, sizeof(j->path.npaths), all);
	j->comms = 1;
	for (size_t i = 0; i < n; i++)
		j->comms = all[i] > j->comms ? all[i] : j->comms;
	free(all);
	if (*j->path.paths)
		snprintf(j->env, sizeof(j->env), "WEFT_PROVIDER=%s WEFT_NICS=%.*s", j->path.provider,
			 (int)strcspn(j->path.paths, ","), j->path.paths);
	return failed ? -EPIPE : 0;
}

int roof_measure(const struct settings *s, const struct place *place, const struct team *team, struct roof *out)
{
	static struct job j; /* pair.c keeps the address of its pair */
	int rounds = team->largest > 2 ? ROUNDS : team->largest - 1, err;

	memset(out, 0, sizeof(*out));
	j = (struct job){.s = s,
			 .team = team,
			 .roof = out,
			 .far = {.place = *place, .oob = team->oob, .tolerant = true},
			 .trial = {.far = &j.far, .time_ms = TIME_MS, .repetitions = REPETITIONS, .depth = depth(s)}};
	for (int i = 0; i < ROUNDS; i++)
		j.links[i].low = -1;
	/* All groups measure the sizes of the largest. */
	out->nsizes = roof_ladder(message_at(s, team->largest, s->min_bytes),
				  message_at(s, team->largest, s->max_bytes), out->bytes);
	err = prepare(&j);
	for (int i = 0; i < rounds && !err; i++)
		if (measure_round(&j, i))
			err = -EPIPE;
	progress_clear();
	return err ? err : gather(&j);
}

void roof_close(struct roof *r)
{
	free(r->links);
	free(r->ranks);
}
