/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of all measurements. */
#ifndef WEFT_BENCH_SECONDS_H
#define WEFT_BENCH_SECONDS_H

#include <time.h>

/* Seconds since an arbitrary point, from a monotonic clock; usually without a system call. */
static inline double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

#endif
