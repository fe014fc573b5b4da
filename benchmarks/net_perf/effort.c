/* SPDX-License-Identifier: Apache-2.0 */
/* See effort.h. */
#include "effort.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int counter = -1;
static _Thread_local uint64_t preemptions_before;

int effort_count_instructions(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_HARDWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_HW_INSTRUCTIONS,
		.disabled = 1,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};

	counter = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	return counter < 0 ? -errno : 0;
}

static uint64_t preemptions(void)
{
	struct rusage u;

	return getrusage(RUSAGE_THREAD, &u) ? 0 : (uint64_t)u.ru_nivcsw;
}

void effort_start(void)
{
	preemptions_before = preemptions();
	if (counter < 0)
		return;
	ioctl(counter, PERF_EVENT_IOC_RESET, 0);
	ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
}

struct effort effort_stop(void)
{
	struct effort e = {.instructions = -1};
	uint64_t n;

	if (counter >= 0) {
		ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
		if (read(counter, &n, sizeof(n)) == sizeof(n))
			e.instructions = (double)n;
	}
	e.preemptions = preemptions() - preemptions_before;
	return e;
}
