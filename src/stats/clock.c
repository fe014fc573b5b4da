/* SPDX-License-Identifier: Apache-2.0 */
/* The clock of the record; see clock.h. */
#include "stats/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define MEASURE_US 1000	    /* first measurement of the rate; later ones are longer */
#define REFINE_NS  50000000 /* a shorter time than this measures no better than the first measurement */

bool stats_clock_counter;

static uint64_t ns_of(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

uint64_t stats_clock_ns(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

#if defined(__x86_64__)
/* Has the kernel found the counters of the cores unequal? */
static bool kernel_distrusts(void)
{
	FILE *f = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");
	char name[32] = "";

	if (!f)
		return false;
	if (!fgets(name, sizeof(name), f))
		name[0] = 0;
	fclose(f);
	return !strncmp(name, "hpet", 4) || !strncmp(name, "acpi_pm", 7) || !strncmp(name, "refined", 7) ||
	       !strncmp(name, "jiffies", 7);
}
#endif

/* Does the counter run at one rate, also in sleep, on all cores alike? */
static bool counter_is_steady(void)
{
#if defined(__x86_64__)
	unsigned a, b, c, d;

	return __get_cpuid(0x80000007, &a, &b, &c, &d) && d >> 8 & 1 && !kernel_distrusts();
#elif defined(__aarch64__)
	return true;
#else
	return false;
#endif
}

/* The same moment on both clocks, as near as possible: the pair read in the shortest time of several. */
static uint64_t read_both(uint64_t *out_ns)
{
	uint64_t best = UINT64_MAX, ticks = 0;
	int i;

	for (i = 0; i < 5; i++) {
		uint64_t before = stats_now(), ns = stats_clock_ns(), after = stats_now();

		if (after - before >= best)
			continue;
		best = after - before;
		ticks = before + best / 2;
		*out_ns = ns;
	}
	return ticks;
}

static void set_scale(struct weft_stats_head *head)
{
	uint64_t ns, ticks = read_both(&ns) - head->base_ticks;
	double scale = ticks ? (double)(ns - head->base_ns) / (double)ticks * 4294967296.0 : 0;

	/* From 0.01 to 1000 ns a tick: anything else is a clock that was set or stopped meanwhile. */
	if (scale > 42949672.0 && scale < 4294967296000.0)
		__atomic_store_n(&head->scale, (uint64_t)scale, __ATOMIC_RELAXED);
}

void stats_clock_start(struct weft_stats_head *head)
{
	stats_clock_counter = counter_is_steady();
	head->scale = UINT64_C(1) << 32;
	head->base_ticks = read_both(&head->base_ns);
	head->base_wall = ns_of(CLOCK_REALTIME) - (stats_clock_ns() - head->base_ns);
	head->clock = WEFT_STATS_MONOTONIC_NS;
	if (!stats_clock_counter)
		return;
#if defined(__x86_64__)
	head->clock = WEFT_STATS_TSC;
#else
	head->clock = WEFT_STATS_ARM_COUNTER;
#endif
	usleep(MEASURE_US);
	set_scale(head);
}

void stats_clock_refine(struct weft_stats_head *head)
{
	if (stats_clock_counter && stats_clock_ns() - head->base_ns > REFINE_NS)
		set_scale(head);
}

uint64_t stats_clock_per_us(const struct weft_stats_head *head)
{
	return (uint64_t)((double)head->scale / 4294967296.0 / 1000.0 * 18446744073709551616.0);
}
