/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PATIENCE_MS = 1000, EVERY_MS = 250 };

static bool enabled, behind_row, shown;
static int64_t next_ms;

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

void progress_init(bool wanted)
{
	enabled = wanted && isatty(STDERR_FILENO);
	/* The unfinished row is on the same terminal: print behind it and restore the cursor. */
	behind_row = isatty(STDOUT_FILENO);
	next_ms = now_ms() + PATIENCE_MS;
}

void progress_show(const char *what, int64_t i, int64_t n)
{
	if (!enabled || now_ms() < next_ms)
		return;
	fprintf(stderr, "%s  %s %" PRId64 "/%" PRId64 "\033[K%s", behind_row ? "\0337" : "\r", what, i + 1, n,
		behind_row ? "\0338" : "");
	fflush(stderr);
	shown = true;
	next_ms = now_ms() + EVERY_MS;
}

void progress_clear(void)
{
	if (shown)
		fputs(behind_row ? "\033[K" : "\r\033[K", stderr);
	shown = false;
	next_ms = now_ms() + PATIENCE_MS;
}
