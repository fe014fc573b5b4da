/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the polling thread waits for a core. A reader needs it to tell a late application from a busy host, which
 * looks the same on the network.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "base/process.h"
#include "stats/stats.h"

#define READ_EVERY_US 100000

void stats_core_check(struct stats_ep *s)
{
	uint64_t wait, runs;
	long thread;

	if (s->index < 0 || stats_us(s, s->at->now - s->core_read) < READ_EVERY_US)
		return;
	s->core_read = s->at->now;
	thread = syscall(SYS_gettid);
	process_core_wait(&wait, &runs);
	if (thread == s->core_thread) {
		s->at->core_wait += wait - s->core_wait;
		s->at->core_runs += runs - s->core_runs;
	}
	s->core_thread = thread;
	s->core_wait = wait;
	s->core_runs = runs;
}
