/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A clock for the limits of tests: milliseconds of a machine that has a processor for everyone. It runs the slower, the
 * more threads compete for the processors, so that a limit grows with the load and no verdict depends on the speed of
 * the machine. A process that does not ask for a while gets the load at the time of its next question. Header only.
 */
#ifndef WEFT_TESTS_PATIENCE_H
#define WEFT_TESTS_PATIENCE_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_STEP_MS 50 /* its steps: the load is read once in each */
#define PATIENCE_MOST	 20 /* times as slow as the real clock at most: a hang must end */

/* Threads that run or could run, on this machine, for each processor; at least 1. */
static inline double patience_load(void)
{
	FILE *f = fopen("/proc/loadavg", "re");
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned runnable = 0;
	double load;

	if (!f)
		return 1;
	if (fscanf(f, "%*s %*s %*s %u/", &runnable) != 1)
		runnable = 0;
	fclose(f);
	load = processors > 0 ? (double)runnable / (double)processors : 1;
	return load < 1 ? 1 : load > PATIENCE_MOST ? PATIENCE_MOST : load;
}

/* One per thread. It starts at 0 with the first question. */
static inline uint64_t patience_ms(void)
{
	static _Thread_local double patient, last;
	struct timespec t;
	double now;

	clock_gettime(CLOCK_MONOTONIC, &t);
	now = (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
	if (!last)
		last = now;
	if (now - last >= PATIENCE_STEP_MS) {
		patient += (now - last) / patience_load();
		last = now;
	}
	return (uint64_t)patient;
}

#endif
