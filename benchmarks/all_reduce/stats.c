/* SPDX-License-Identifier: Apache-2.0 */
#include "stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Nearest rank: the smallest value that at least this share of all values does not exceed. */
static double nearest_rank(const double *sorted, int64_t n, double share)
{
	int64_t rank = (int64_t)ceil(share * (double)n);

	return sorted[rank < 1 ? 0 : rank - 1];
}

void stats_of_iters(const double *times_us, int64_t n, int64_t skip, double *scratch, struct iter_stats *out)
{
	int64_t kept = n - skip;
	double sum = 0, squares = 0, mean;

	memcpy(scratch, times_us + skip, (size_t)kept * sizeof(*scratch));
	qsort(scratch, (size_t)kept, sizeof(*scratch), by_value);
	for (int64_t i = 0; i < kept; i++)
		sum += scratch[i];
	mean = sum / (double)kept;
	for (int64_t i = 0; i < kept; i++)
		squares += (scratch[i] - mean) * (scratch[i] - mean);
	*out = (struct iter_stats){
		.skipped = skip,
		.min_us = scratch[0],
		.max_us = scratch[kept - 1],
		.avg_us = mean,
		.p50_us = scratch[kept / 2],
		.p95_us = nearest_rank(scratch, kept, 0.95),
		.p99_us = nearest_rank(scratch, kept, 0.99),
		.stdev_us = sqrt(squares / (double)kept),
		.times_us = times_us,
		.ntimes = n,
	};
	out->cv_pct = mean > 0 ? 100 * out->stdev_us / mean : 0;
}
