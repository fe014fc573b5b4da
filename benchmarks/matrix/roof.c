/* SPDX-License-Identifier: Apache-2.0 */
/* See roof.h. */
#include "roof.h"

#include <stdlib.h>

#include "net_perf/trial.h"

double roof_ratio(const struct cell *c)
{
	return c->state == CELL_GOOD && c->raw_gb_per_s > 0 ? c->gb_per_s / c->raw_gb_per_s : 0;
}

struct roof_sum roof_sum(const struct matrix *m, roof_part *part)
{
	struct roof_sum sum = {.pairs = 0};
	int i;

	for (i = 0; i < m->n * m->n; i++) {
		double ratio = part(&m->cells[i]);

		if (ratio <= 0)
			continue;
		if (!sum.pairs || ratio < sum.lowest)
			sum.lowest = ratio;
		sum.pairs++;
		sum.below += ratio < ROOF_FINE;
	}
	return sum;
}

static int by_ratio(const void *a, const void *b)
{
	const struct roof_pair *x = a, *y = b;

	return (x->ratio > y->ratio) - (x->ratio < y->ratio);
}

int roof_below(const struct matrix *m, roof_part *part, struct roof_pair **out)
{
	struct roof_pair *pairs = calloc((size_t)m->n * (size_t)m->n, sizeof(*pairs));
	int i, n = 0;

	*out = pairs;
	for (i = 0; pairs && i < m->n * m->n; i++) {
		double ratio = part(&m->cells[i]);

		if (ratio > 0 && ratio < ROOF_FINE)
			pairs[n++] = (struct roof_pair){i / m->n, i % m->n, ratio};
	}
	if (n)
		qsort(pairs, (size_t)n, sizeof(*pairs), by_ratio);
	return n;
}
