/* SPDX-License-Identifier: Apache-2.0 */
/* See matrix.h. */
#include "matrix.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_perf/stats.h"

enum { MANY = 64 };

/* The state of a search for outliers. */
struct search {
	const struct matrix *m;
	double least, median;
	bool one_host;	/* pairs of one host count */
	double *values; /* room for all pairs */
	bool *in;	/* by rank: member of the group that is judged */
	bool *slow_from, *slow_to;
	struct outlier *found;
	int nfound;
};

void matrix_free(struct matrix *m)
{
	int i;

	for (i = 0; m->rails && i < m->nrails; i++)
		free(m->rails[i].cells);
	free(m->rails);
	free(m->cells);
	free(m->who);
}

const struct cell *matrix_at(const struct matrix *m, int from, int to)
{
	return &m->cells[from * m->n + to];
}

static bool same_host(const struct matrix *m, int a, int b)
{
	return !strcmp(m->who[a].host, m->who[b].host);
}

static bool on_one_host(const struct matrix *m)
{
	int i;

	for (i = 1; i < m->n && same_host(m, 0, i); i++)
		;
	return i == m->n;
}

static bool counts(const struct matrix *m, bool one_host, int from, int to)
{
	return matrix_at(m, from, to)->state == CELL_GOOD && (one_host || !same_host(m, from, to));
}

static bool has_sisters(const struct matrix *m, int rank)
{
	int i;

	for (i = 0; i < m->n; i++)
		if (i != rank && same_host(m, i, rank))
			return true;
	return false;
}

/* Pairs of ranks that are outliers already would make others look slow. */
static bool is_explained(const struct search *s, int from, int to)
{
	return s->slow_from[from] || s->slow_to[to];
}

/* The median of the pairs whose ends are, or are not, in the group. 0: there is none. */
static double median_of(const struct search *s, bool from_in, bool to_in)
{
	size_t n = 0;
	int i, j;

	for (i = 0; i < s->m->n; i++)
		for (j = 0; j < s->m->n && s->in[i] == from_in; j++)
			if (s->in[j] == to_in && counts(s->m, s->one_host, i, j) && !is_explained(s, i, j))
				s->values[n++] = matrix_at(s->m, i, j)->gb_per_s;
	return stats_median(s->values, n);
}

/* The median of the pairs without the group. Among many ranks, one more or less hardly changes it. */
static double median_of_rest(const struct search *s)
{
	return s->m->n > MANY ? s->median : median_of(s, false, false);
}

/* Makes the rank, or all ranks of its host, the group. False: it has another name, or is an outlier already. */
static bool choose_group(struct search *s, int rank, bool host)
{
	int j;

	for (j = 0; j < s->m->n; j++) {
		s->in[j] = host ? same_host(s->m, rank, j) : j == rank;
		if (s->in[j] && (j < rank || s->slow_from[j] || s->slow_to[j]))
			return false;
	}
	return !host || has_sisters(s->m, rank);
}

/* Compares the group with the rest. The ratio is 1 if it is not slow. */
static struct outlier judge_group(const struct search *s, int who, bool host)
{
	double rest = median_of_rest(s), out = median_of(s, true, false), in = median_of(s, false, true);
	bool slow_out = out < s->least * rest && out > 0, slow_in = in < s->least * rest && in > 0;

	if (slow_out && slow_in)
		return (struct outlier){who, -1, host, true, (out < in ? out : in) / rest};
	if (slow_out)
		return (struct outlier){who, -1, host, false, out / rest};
	return slow_in ? (struct outlier){-1, who, host, false, in / rest} : (struct outlier){.ratio = 1};
}

static void note(struct search *s, struct outlier o)
{
	s->found[s->nfound++] = o;
}

/* Finds the slowest rank, or host of several ranks. False: none is slow. */
static bool find_slowest(struct search *s, bool host)
{
	struct outlier worst = {.ratio = 1}, one;
	int i, who;

	for (i = 0; i < s->m->n; i++) {
		if (!choose_group(s, i, host))
			continue;
		one = judge_group(s, i, host);
		if (one.ratio < worst.ratio)
			worst = one;
	}
	if (worst.ratio >= 1)
		return false;
	note(s, worst);
	who = worst.from < 0 ? worst.to : worst.from;
	choose_group(s, who, host);
	for (i = 0; i < s->m->n; i++) {
		s->slow_from[i] |= s->in[i] && (worst.both || worst.from >= 0);
		s->slow_to[i] |= s->in[i] && (worst.both || worst.to >= 0);
	}
	return true;
}

static bool is_slow(const struct search *s, int from, int to)
{
	return counts(s->m, s->one_host, from, to) && !is_explained(s, from, to) &&
	       matrix_at(s->m, from, to)->gb_per_s < s->least * s->median;
}

static void judge_pairs(struct search *s)
{
	double there, back;
	int i, j;

	for (i = 0; i < s->m->n; i++)
		for (j = i + 1; j < s->m->n; j++) {
			bool slow = is_slow(s, i, j), slow_back = is_slow(s, j, i);

			there = matrix_at(s->m, i, j)->gb_per_s / s->median;
			back = matrix_at(s->m, j, i)->gb_per_s / s->median;
			if (slow && slow_back)
				note(s, (struct outlier){i, j, false, true, there < back ? there : back});
			else if (slow)
				note(s, (struct outlier){i, j, false, false, there});
			else if (slow_back)
				note(s, (struct outlier){j, i, false, false, back});
		}
}

static void free_search(struct search *s)
{
	free(s->values);
	free(s->in);
	free(s->slow_from);
	free(s->slow_to);
}

int matrix_outliers(const struct matrix *m, double least, struct outlier **out)
{
	size_t n = (size_t)m->n;
	struct search s = {.m = m, .least = least, .median = matrix_median(m), .one_host = on_one_host(m)};

	*out = NULL;
	if (m->n < 3)
		return 0;
	s.values = calloc(n * n, sizeof(*s.values));
	s.in = calloc(n, sizeof(*s.in));
	s.slow_from = calloc(n, sizeof(*s.slow_from));
	s.slow_to = calloc(n, sizeof(*s.slow_to));
	s.found = calloc(n * n + 2 * n, sizeof(*s.found));
	if (s.values && s.in && s.slow_from && s.slow_to && s.found) {
		while (find_slowest(&s, true))
			;
		while (find_slowest(&s, false))
			;
		judge_pairs(&s);
		*out = s.found;
	} else {
		free(s.found);
		s.nfound = -1;
	}
	free_search(&s);
	return s.nfound;
}

/* Is the rank the end of an outlier that is given as `end`? */
static bool is_end(const struct matrix *m, const struct outlier *o, int end, int rank)
{
	return end < 0 || end == rank || (o->host && same_host(m, end, rank));
}

static bool names(const struct matrix *m, const struct outlier *o, int from, int to)
{
	return (is_end(m, o, o->from, from) && is_end(m, o, o->to, to)) ||
	       (o->both && is_end(m, o, o->from, to) && is_end(m, o, o->to, from));
}

double matrix_median(const struct matrix *m)
{
	return matrix_median_rest(m, NULL, 0);
}

double matrix_median_rest(const struct matrix *m, const struct outlier *outliers, int noutliers)
{
	double *v = calloc((size_t)m->n * (size_t)m->n, sizeof(*v)), median;
	bool one_host = on_one_host(m);
	size_t n = 0;
	int i, j, k;

	for (i = 0; v && i < m->n; i++)
		for (j = 0; j < m->n; j++) {
			for (k = 0; k < noutliers && !names(m, &outliers[k], i, j); k++)
				;
			if (k == noutliers && counts(m, one_host, i, j))
				v[n++] = matrix_at(m, i, j)->gb_per_s;
		}
	median = stats_median(v, n);
	free(v);
	return median;
}

static void name_one(const struct matrix *m, int rank, bool host, char *text, size_t bytes)
{
	if (rank < 0)
		snprintf(text, bytes, "*");
	else if (host || !has_sisters(m, rank))
		snprintf(text, bytes, "%s", m->who[rank].host);
	else
		snprintf(text, bytes, "%s rank %d", m->who[rank].host, rank);
}

char *matrix_name(const struct matrix *m, const struct outlier *o, char *text, size_t bytes)
{
	char from[96], to[96];

	name_one(m, o->from, o->host, from, sizeof(from));
	name_one(m, o->to, o->host, to, sizeof(to));
	snprintf(text, bytes, "%s %s %s", from, o->both ? "<->" : "->", to);
	return text;
}

uint64_t matrix_wrong(const struct matrix *m)
{
	uint64_t wrong = 0;
	int i;

	for (i = 0; i < m->n * m->n; i++)
		wrong += m->cells[i].wrong;
	for (i = 0; i < m->nrails; i++)
		wrong += matrix_wrong(&m->rails[i]);
	return wrong;
}

int matrix_failed(const struct matrix *m)
{
	int i, j, failed = 0;

	for (i = 0; i < m->n; i++)
		for (j = i + 1; j < m->n; j++)
			failed += matrix_at(m, i, j)->state == CELL_FAILED || matrix_at(m, j, i)->state == CELL_FAILED;
	for (i = 0; i < m->nrails; i++)
		failed += matrix_failed(&m->rails[i]);
	return failed;
}
