/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/types.h>

#include "base/process.h"
#include "observe/life.h"

static bool same_boot(const struct weft_stats_head *h)
{
	uint64_t own[2];

	return process_boot_id(own) && !memcmp(own, h->boot_id, sizeof(own));
}

/* /proc may hide the processes of other users (its mount option hidepid), of which a signal only says that they exist. */
static bool hidden(uint64_t pid)
{
	return kill((pid_t)pid, 0) && errno == EPERM;
}

static enum record_life process_life(const struct weft_stats_head *h, int fd)
{
	uint64_t start = 0;
	char state = 0;
	int held;

	if (!same_boot(h))
		return RECORD_UNKNOWN;
	held = h->locked ? process_lock_held(fd) : -1;
	if (!held)
		return RECORD_DEAD;
	if (h->pid_namespace != process_namespace())
		return held > 0 ? RECORD_RUNNING : RECORD_UNKNOWN;
	if (!process_stat(h->pid, &state, &start)) {
		if (!hidden(h->pid))
			return RECORD_DEAD;
		return held > 0 ? RECORD_RUNNING : RECORD_UNKNOWN;
	}
	if (start != h->start || state == 'Z' || state == 'X')
		return RECORD_DEAD;
	return state == 'T' || state == 't' ? RECORD_STOPPED : RECORD_RUNNING;
}

enum record_life life_of(const struct weft_stats_head *h, int fd, bool *gone)
{
	enum record_life life = process_life(h, fd);
	uint64_t state = h->state;

	*gone = life == RECORD_DEAD;
	/* It may have ended since the head was read. */
	if (*gone && pread(fd, &state, sizeof(state), offsetof(struct weft_stats_head, state)) != sizeof(state))
		state = h->state;
	return state == WEFT_STATS_CLOSED ? RECORD_FINISHED : life;
}
