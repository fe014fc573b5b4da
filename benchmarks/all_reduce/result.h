/* SPDX-License-Identifier: Apache-2.0 */
/* What is measured and reported: plain data between measure.c and the writers of table and JSON. */
#ifndef WEFT_ALL_REDUCE_RESULT_H
#define WEFT_ALL_REDUCE_RESULT_H

#include "types.h"

#include <stdbool.h>
#include <stdint.h>

/* How single iterations scattered; microseconds. */
struct iter_stats {
	int64_t skipped;
	double min_us, max_us, avg_us, p50_us, p95_us, p99_us, stdev_us, cv_pct;
	const double *times_us; /* all of them, the skipped ones included */
	int64_t ntimes;
};

/* One size in one placement (out of place, in place). */
struct placement {
	double time_us; /* of one operation */
	double algbw_gbs, busbw_gbs;
	int64_t wrong;           /* elements and guard bytes over all ranks; -1: not checked */
	struct iter_stats iters; /* with per-iteration timing */
};

struct row {
	int64_t bytes, count;
	enum elem_type type;
	enum redop op;
	int64_t root;
	int64_t iters;
	struct placement place[2]; /* 0 out of place, 1 in place */
};

/* One rank, as all the others see it. No pointers: it travels. */
struct rank_info {
	int pid, device;
	char host[64];
	char pci[32];  /* "0000:3b:00.0", or "" */
	char name[96]; /* plugin and device */
};

struct totals {
	int64_t failed_checks;
	double busbw_sum, busbw_max;
	int64_t busbw_count;
	int64_t busbw_max_bytes;
	double min_bw; /* required, or 0 */
};

static inline double totals_average(const struct totals *t)
{
	return t->busbw_count ? t->busbw_sum / (double)t->busbw_count : 0;
}

/* nccl-tests allows 10 % less than what was asked for. */
static inline bool totals_fast_enough(const struct totals *t)
{
	return totals_average(t) >= 0.9 * t->min_bw;
}

#endif
