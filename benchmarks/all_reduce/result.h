/* SPDX-License-Identifier: Apache-2.0 */
/* Results: plain data from measure.c for the writers of the table and of the JSON report. */
#ifndef WEFT_ALL_REDUCE_RESULT_H
#define WEFT_ALL_REDUCE_RESULT_H

#include "types.h"

#include <stdbool.h>
#include <stdint.h>

/* Statistics of single iterations, in microseconds. */
struct iter_stats {
	int64_t skipped;
	double min_us, max_us, avg_us, p50_us, p95_us, p99_us, stdev_us, cv_pct;
	const double *times_us; /* times of all iterations, including the skipped ones */
	int64_t ntimes;
	const double *process_times_us; /* ntimes of each process, which times_us is the maximum of */
	int nprocesses;
};

/* Result of one size in one placement (out of place, in place). */
struct placement {
	double time_us; /* time of one operation */
	double algbw_gbs, busbw_gbs;
	int64_t wrong;		 /* wrong elements and guard bytes of all ranks; -1: not checked */
	struct iter_stats iters; /* only with per-iteration timing */
};

struct row {
	int64_t bytes, count;
	enum elem_type type;
	enum redop op;
	int64_t root;
	int64_t iters;
	struct placement place[2]; /* 0 out of place, 1 in place */
	double roof_gbs;	   /* busbw that raw libfabric allows (roof.h); 0: not known */
};

/* The bandwidth divided by the roof; 0: not known. */
static inline double row_ratio(const struct row *row, int place)
{
	return row->roof_gbs > 0 ? row->place[place].busbw_gbs / row->roof_gbs : 0;
}

/* The rows against their roofs; a row counts with the mean of its placements. */
struct roof_verdict {
	int rows, below;		 /* below: what is fine */
	double lowest;			 /* ratio */
	int64_t lowest_bytes;		 /* its size */
	int64_t least_below, most_below; /* sizes */
};

enum { RANK_DEVICES = 64 };

/* A device of the plugin, or a GPU. */
struct device_info {
	int device;
	char pci[32];  /* "0000:3b:00.0", or "" */
	char name[96]; /* plugin and device */
};

/* Description of one rank, sent to all others; therefore without pointers. */
struct rank_info {
	int pid, group;
	char host[64];
	int ndevices; /* at least 1 */
	struct device_info devices[RANK_DEVICES];
};

struct totals {
	int64_t failed_checks;
	double busbw_sum, busbw_max;
	int64_t busbw_count;
	int64_t busbw_max_bytes;
	double min_bw; /* required average, or 0 */
	struct roof_verdict roof;
	int64_t largest_bytes; /* the size of the largest row so far, */
	double largest_busbw;  /* and the mean of its placements */
};

static inline double totals_average(const struct totals *t)
{
	return t->busbw_count ? t->busbw_sum / (double)t->busbw_count : 0;
}

/* Like nccl-tests, accepts 10 % less than the required bandwidth. */
static inline bool totals_fast_enough(const struct totals *t)
{
	return totals_average(t) >= 0.9 * t->min_bw;
}

#endif
