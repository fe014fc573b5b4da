/* SPDX-License-Identifier: Apache-2.0 */
/* Monotonic time for deadlines. Not for the fast path: callers read it once in many polls. */
#ifndef WEFT_BASE_CLOCK_H
#define WEFT_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds since an arbitrary point; never goes back; no system call (vDSO). */
static inline int64_t clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

#endif
