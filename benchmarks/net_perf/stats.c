/* SPDX-License-Identifier: Apache-2.0 */
/* See stats.h. */
#include "stats.h"

#include <math.h>
#include <stdlib.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double stats_median(double *v, size_t n)
{
	if (!n)
		return 0;
	qsort(v, n, sizeof(*v), by_value);
	return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

double stats_percentile(const double *sorted, size_t n, double percent)
{
	double rank = ceil(percent / 100 * (double)n);

	if (!n)
		return 0;
	if (rank < 1)
		rank = 1;
	return sorted[rank > (double)n ? n - 1 : (size_t)rank - 1];
}
