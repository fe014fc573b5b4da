/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock of the record: the processor's counter, which costs three instructions, or CLOCK_MONOTONIC where the counter
 * stops, changes its rate or differs between cores. Resolution: one tick, 0.2 to 1 ns (ARM: up to 40 ns).
 */
#ifndef WEFT_STATS_CLOCK_H
#define WEFT_STATS_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "weft/stats.h"

/* The counter is usable. Set by stats_clock_start. */
extern bool stats_clock_counter;

__attribute__((cold)) uint64_t stats_clock_ns(void);

/* The time in ticks. */
static inline uint64_t stats_now(void)
{
#if defined(__x86_64__)
	if (__builtin_expect(stats_clock_counter, 1))
		return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
	uint64_t ticks;

	if (__builtin_expect(stats_clock_counter, 1)) {
		__asm__ volatile("mrs %0, cntvct_el0" : "=r"(ticks));
		return ticks;
	}
#endif
	return stats_clock_ns();
}

/* Chooses the clock, once in a process, and measures its rate for a millisecond. Fills the clock's fields of the head. */
void stats_clock_start(struct weft_stats_head *head);

/* Measures the rate again, from the start until now. Any thread. */
void stats_clock_refine(struct weft_stats_head *head);

/* 2^64 divided by the ticks of a microsecond. */
uint64_t stats_clock_per_us(const struct weft_stats_head *head);

#endif
