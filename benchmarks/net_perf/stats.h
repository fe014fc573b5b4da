/* SPDX-License-Identifier: Apache-2.0 */
/* Order statistics of a few numbers. Unlike means, they withstand a sample that was descheduled. */
#ifndef WEFT_NET_PERF_STATS_H
#define WEFT_NET_PERF_STATS_H

#include <stddef.h>

/*
 * Sorts `v` and returns its median: the middle value, or the mean of the two middle ones. 0 if n is 0.
 */
double stats_median(double *v, size_t n);

/*
 * The nearest-rank percentile: the smallest value that at least `percent` (0 to 100) of all values do not exceed.
 * `sorted` is ascending, as stats_median leaves it. 0 if n is 0.
 */
double stats_percentile(const double *sorted, size_t n, double percent);

#endif
