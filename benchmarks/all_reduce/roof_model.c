/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"
#include "net_perf/stats.h"
#include "net_perf/trial.h"
#include "ring_plan.h"
#include "roof.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_BYTES = 8, FACTOR = 4 };

/* The round of the link from rank i to the next one. Links of one round share no rank. */
static int round_of(int n, int i)
{
	return n % 2 && i == n - 1 ? 2 : i % 2;
}

int roof_partner(int n, int round, int rank)
{
	int before = (rank + n - 1) % n;

	if (n < 2)
		return -1;
	if (n == 2)
		return round ? -1 : !rank;
	if (round_of(n, rank) == round)
		return (rank + 1) % n;
	return round_of(n, before) == round ? before : -1;
}

int roof_ladder(size_t least, size_t most, size_t out[ROOF_SIZES])
{
	size_t bytes = least < LEAST_BYTES ? LEAST_BYTES : least;
	int n = 0;

	for (; bytes < most && n < ROOF_SIZES - 1; bytes *= FACTOR)
		out[n++] = bytes;
	out[n++] = most < LEAST_BYTES ? LEAST_BYTES : most;
	return n;
}

void roof_settle(struct roof *r)
{
	r->measured = r->nlinks > 0;
	for (int i = 0; i < r->nlinks; i++) {
		const struct roof_link *l = &r->links[i];

		r->measured &= l->good;
		if (!i || l->latency_us > r->latency_us)
			r->latency_us = l->latency_us;
		for (int k = 0; k < r->nsizes; k++)
			if (!i || l->gb_per_s[k] < r->gb_per_s[k])
				r->gb_per_s[k] = l->gb_per_s[k];
	}
	for (int k = 0; k < r->nsizes; k++)
		r->measured &= r->gb_per_s[k] > 0;
}

size_t roof_message(const struct settings *s, int nranks, size_t elem_bytes, int64_t count, int64_t bytes)
{
	/* Unequal shares: their mean. */
	size_t share = s->what == ALL_TO_ALL_V ? (size_t)bytes / elem_bytes / (size_t)nranks : (size_t)count;
	const struct ring_task task = {.what = s->what,
				       .nranks = nranks,
				       .count = share,
				       .elem_bytes = elem_bytes,
				       .half = collective_facts[s->what].exchanges ? RING_SENDER : RING_WHOLE};
	struct ring_plan p;
	struct ring_cursor c;
	size_t slice;

	ring_plan_make(&p, &task, (size_t)s->chunk_bytes, (int)s->channels, 0);
	ring_cursor_init(&p, &c);
	slice = c.slice < c.chunk ? c.slice : c.chunk;
	return (slice < share ? slice : share) * elem_bytes;
}

/* On a line between the two sizes around it, in logarithms of both. */
static double rate_of(const struct roof *r, size_t bytes)
{
	double part;
	int k = 0;

	while (k < r->nsizes - 1 && r->bytes[k + 1] <= bytes)
		k++;
	if (k == r->nsizes - 1 || bytes <= r->bytes[k])
		return r->gb_per_s[k];
	part = log((double)bytes / (double)r->bytes[k]) / log((double)r->bytes[k + 1] / (double)r->bytes[k]);
	return r->gb_per_s[k] * pow(r->gb_per_s[k + 1] / r->gb_per_s[k], part);
}

/* The messages that follow one another. */
static int steps(enum collective what, int nranks)
{
	if (what == ALL_REDUCE)
		return 2 * (nranks - 1);
	return collective_facts[what].exchanges ? exchange_steps(what, nranks) : nranks - 1;
}

double roof_busbw(const struct roof *r, const struct settings *s, int nranks, const struct row *row)
{
	double wire = collective_moved_bytes(s->what, nranks, row->bytes) * collective_bus_factor(s->what, nranks);
	double rate;
	size_t message;

	if (!r || !r->measured || nranks < 2)
		return 0;
	message = roof_message(s, nranks, type_facts[row->type].bytes, row->count, row->bytes);
	if (!message)
		return 0;
	rate = rate_of(r, message);
	return wire / (steps(s->what, nranks) * r->latency_us * 1e-6 + wire / rate * 1e-9) * 1e-9;
}

void roof_judge(struct roof_verdict *v, const struct row *row)
{
	double ratio;

	if (row->roof_gbs <= 0)
		return;
	ratio = (row->place[0].busbw_gbs + row->place[1].busbw_gbs) / 2 / row->roof_gbs;
	if (!v->rows || ratio < v->lowest) {
		v->lowest = ratio;
		v->lowest_bytes = row->bytes;
	}
	v->rows++;
	if (ratio >= ROOF_FINE)
		return;
	if (!v->below || row->bytes < v->least_below)
		v->least_below = row->bytes;
	if (!v->below || row->bytes > v->most_below)
		v->most_below = row->bytes;
	v->below++;
}

const struct roof_link *roof_slowest(const struct roof *r, double *out_share)
{
	double *rates = calloc((size_t)r->nlinks, sizeof(*rates)), median;
	int last = r->nsizes - 1, slowest = 0;

	for (int i = 0; i < r->nlinks; i++)
		if (r->links[i].gb_per_s[last] < r->links[slowest].gb_per_s[last])
			slowest = i;
	for (int i = 0; rates && i < r->nlinks; i++)
		rates[i] = r->links[i].gb_per_s[last];
	median = rates ? stats_median(rates, (size_t)r->nlinks) : 0;
	free(rates);
	*out_share = median > 0 ? r->links[slowest].gb_per_s[last] / median : 1;
	return &r->links[slowest];
}
