/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/process.h"
#include "observe/life.h"

static bool same_boot(const struct weft_stats_head *h)
{
	uint64_t own[2];

	return process_boot_id(own) && !memcmp(own, h->boot_id, sizeof(own));
}

enum record_life life_of(const struct weft_stats_head *h)
{
	uint64_t start = 0;
	char state = 0;

	if (h->state == WEFT_STATS_CLOSED)
		return RECORD_FINISHED;
	if (!same_boot(h) || h->pid_namespace != process_namespace())
		return RECORD_UNKNOWN;
	if (!process_stat(h->pid, &state, &start) || start != h->start || state == 'Z' || state == 'X')
		return RECORD_DEAD;
	return state == 'T' || state == 't' ? RECORD_STOPPED : RECORD_RUNNING;
}
