/* SPDX-License-Identifier: Apache-2.0 */
/* See expect.h. */
#include "expect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plan.h"

enum { DEVICE = -1 };

/* One round of pairs. */
struct round {
	const struct matrix *m;
	bool duplex;
	int *host;	/* by rank: the first rank of its host */
	int *partner;	/* by rank; -1: it rests */
	double *allows; /* by rank: GB/s in each direction; 0: not known */
	int *pairs;	/* by rank: the most pairs that use one of its NICs */
};

static bool has_nic(const struct who *w, const char *name, int rail)
{
	for (int i = 0; i < w->nnics; i++)
		if ((rail == DEVICE || rail == i) && !strcmp(w->nics[i], name))
			return true;
	return false;
}

/* The pairs that send over the NIC while this rank sends; as many receive while it receives. */
static int sharers(const struct round *r, int rank, const char *nic, int rail)
{
	bool low = rank < r->partner[rank];
	int n = 0;

	for (int i = 0; i < r->m->n; i++)
		n += r->host[i] == r->host[rank] && r->partner[i] >= 0 && !expect_passes_by(r->m, i, r->partner[i]) &&
		     (r->duplex || (i < r->partner[i]) == low) && has_nic(&r->m->who[i], nic, rail);
	return n;
}

static void sum_nics(struct round *r, int rank, int rail)
{
	const struct who *w = &r->m->who[rank];
	bool known = true;

	r->allows[rank] = r->pairs[rank] = 0;
	for (int i = 0; i < w->nnics; i++) {
		int n;

		if (rail != DEVICE && rail != i)
			continue;
		n = sharers(r, rank, w->nics[i], rail);
		known &= w->mbps[i] > 0;
		r->allows[rank] += w->mbps[i] / 8e3 / n;
		r->pairs[rank] = n > r->pairs[rank] ? n : r->pairs[rank];
	}
	if (!known)
		r->allows[rank] = 0;
}

static void fill_pairs(struct round *r, struct matrix *cells, int rail)
{
	for (int i = 0; i < r->m->n; i++)
		if (r->partner[i] >= 0)
			sum_nics(r, i, rail);
	for (int i = 0; i < r->m->n; i++) {
		int to = r->partner[i], less;

		if (to < 0 || r->allows[i] <= 0 || r->allows[to] <= 0 || expect_passes_by(r->m, i, to))
			continue;
		less = r->allows[i] < r->allows[to] || (r->allows[i] == r->allows[to] && i < to) ? i : to;
		cells->cells[i * r->m->n + to].expected =
			(struct expected_speed){r->allows[less], less, r->pairs[less]};
	}
}

static void fill_rounds(struct round *r, struct matrix *m, bool alone)
{
	for (int i = 0; i < m->n; i++)
		for (r->host[i] = 0; strcmp(m->who[r->host[i]].host, m->who[i].host); r->host[i]++)
			;
	for (int k = 0; k < plan_rounds(m->n, alone); k++) {
		for (int i = 0; i < m->n; i++)
			r->partner[i] = plan_partner(m->n, alone, k, i);
		fill_pairs(r, m, DEVICE);
		for (int rail = 0; rail < m->nrails; rail++)
			fill_pairs(r, &m->rails[rail], rail);
	}
}

int expect_fill(struct matrix *m, struct expect_plan plan)
{
	size_t n = (size_t)m->n;
	struct round r = {.m = m,
			  .duplex = plan.duplex,
			  .host = calloc(n, sizeof(*r.host)),
			  .partner = calloc(n, sizeof(*r.partner)),
			  .allows = calloc(n, sizeof(*r.allows)),
			  .pairs = calloc(n, sizeof(*r.pairs))};
	int bad = !r.host || !r.partner || !r.allows || !r.pairs;

	if (!bad)
		fill_rounds(&r, m, plan.alone);
	free(r.host);
	free(r.partner);
	free(r.allows);
	free(r.pairs);
	return bad ? -1 : 0;
}

double expect_ratio(const struct cell *c)
{
	return c->state == CELL_GOOD && c->expected.gb_per_s > 0 ? c->gb_per_s / c->expected.gb_per_s : 0;
}

char *expect_nics(const struct who *w, char *text, size_t bytes)
{
	size_t used = 0;
	double sum = 0;

	if (!w->nnics)
		snprintf(text, bytes,
			 "not known: no record of its NICs: not connected, another plugin than Weft, or WEFT_STATS=0");
	for (int i = 0; i < w->nnics; i++) {
		if (!w->mbps[i]) {
			snprintf(text, bytes, "not known: %s reports no speed", w->nics[i]);
			return text;
		}
		sum += w->mbps[i] / 8e3;
		if (used < bytes)
			used += (size_t)snprintf(text + used, bytes - used, "%s%s %g Gbit/s", i ? ", " : "", w->nics[i],
						 w->mbps[i] / 1e3);
	}
	if (used && used < bytes)
		snprintf(text + used, bytes - used, ": %.4g GB/s each way; %s", sum, w->source);
	return text;
}

bool expect_passes_by(const struct matrix *m, int from, int to)
{
	return !m->who[from].inside && !strcmp(m->who[from].host, m->who[to].host);
}
