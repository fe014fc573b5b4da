/* SPDX-License-Identifier: Apache-2.0 */
/* See rails.h. */
#include "rails.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net_perf/stats.h"

struct list {
	struct slow_rail *at;
	int n;
};

static int add(struct list *l, struct slow_rail s)
{
	struct slow_rail *more = reallocarray(l->at, (size_t)l->n + 1, sizeof(*more));

	if (!more)
		return -1;
	l->at = more;
	l->at[l->n++] = s;
	return 0;
}

/* The slow pairs of one rail, and the median of its others. */
static int search_rail(const struct matrix *m, int rail, double least, struct list *l, double *out_median)
{
	struct outlier *o;
	int i, ret = 0, n = matrix_outliers(&m->rails[rail], least, &o);

	if (n < 0)
		return -1;
	for (i = 0; i < n && !ret; i++)
		ret = add(l, (struct slow_rail){.rail = rail, .of = o[i]});
	*out_median = matrix_median_rest(&m->rails[rail], o, n);
	free(o);
	return ret;
}

/* A rail that is slow everywhere is so compared with the other rails only. */
static int judge_rail(int rail, const double *medians, int nrails, double least, struct list *l)
{
	double others[MATRIX_NICS], median, ratio;
	size_t n = 0;
	int i;

	for (i = 0; i < nrails; i++)
		if (i != rail && medians[i] > 0)
			others[n++] = medians[i];
	median = stats_median(others, n);
	ratio = median > 0 && medians[rail] > 0 ? medians[rail] / median : 1;
	if (ratio >= least)
		return 0;
	return add(l, (struct slow_rail){rail, true, {.from = -1, .to = -1, .both = true, .ratio = ratio}});
}

int rails_slow(const struct matrix *m, double least, struct slow_rail **out)
{
	struct list l = {NULL, 0};
	double medians[MATRIX_NICS];
	int i, ret = 0;

	for (i = 0; i < m->nrails && !ret; i++)
		ret = search_rail(m, i, least, &l, &medians[i]);
	for (i = 0; i < m->nrails && !ret; i++)
		ret = judge_rail(i, medians, m->nrails, least, &l);
	if (ret) {
		free(l.at);
		l = (struct list){NULL, -1};
	}
	*out = l.at;
	return l.n;
}

/* The NIC's name if it is the same everywhere, else "". */
static const char *common_nic(const struct matrix *m, int rail)
{
	int i;

	for (i = 1; i < m->n && !strcmp(m->who[i].nics[rail], m->who[0].nics[rail]); i++)
		;
	return i == m->n ? m->who[0].nics[rail] : "";
}

char *rails_name(const struct matrix *m, const struct slow_rail *s, char *text, size_t bytes)
{
	const struct outlier *o = &s->of;
	int one = o->from < 0 ? o->to : o->from;

	if (s->all)
		snprintf(text, bytes, "rail %d of all%s%s%s", s->rail, *common_nic(m, s->rail) ? " (NIC " : "",
			 common_nic(m, s->rail), *common_nic(m, s->rail) ? ")" : "");
	else if (o->from < 0 || o->to < 0)
		snprintf(text, bytes, "rail %d of %s (NIC %s)", s->rail, m->who[one].host, m->who[one].nics[s->rail]);
	else
		snprintf(text, bytes, "rail %d (NIC %s to %s)", s->rail, m->who[o->from].nics[s->rail],
			 m->who[o->to].nics[s->rail]);
	return text;
}

bool rails_explains(const struct slow_rail *s, const struct outlier *o)
{
	const struct outlier *of = &s->of;
	bool same = of->from == o->from && of->to == o->to, turned = of->from == o->to && of->to == o->from;

	return !s->all && of->host == o->host && (same || (turned && (of->both || o->both)));
}

int rails_unknown(const struct matrix *m)
{
	int i, j;

	for (i = 0; i < m->n; i++)
		for (j = 0; j < m->n; j++)
			if (matrix_at(m, i, j)->state == CELL_GOOD && !m->who[i].nnics)
				return i;
	return -1;
}
