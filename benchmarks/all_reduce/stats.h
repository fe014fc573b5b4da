/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of single iterations, by nccl-tests' definitions. Pure functions. */
#ifndef WEFT_ALL_REDUCE_STATS_H
#define WEFT_ALL_REDUCE_STATS_H

#include "result.h"

/*
 * Computes the statistics of all times but the first `skip` (skip < n). p50 is the upper median, p95 and p99 are
 * nearest-rank percentiles, and the deviation divides by the number of times. `scratch` has room for n - skip values. The
 * result refers to times_us.
 */
void stats_of_iters(const double *times_us, int64_t n, int64_t skip, double *scratch, struct iter_stats *out);

#endif
