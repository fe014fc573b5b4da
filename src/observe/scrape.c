/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "observe/metrics.h"
#include "observe/scrape.h"

#define REPEAT_NS UINT64_C(1000000000)

static int write_text(struct scrape *s, const struct view *v, double seconds)
{
	struct metrics_want want = {.view = v, .retired = &s->retired, .peers = s->peers, .seconds = seconds};
	char *text = NULL;
	size_t bytes = 0;
	FILE *out = open_memstream(&text, &bytes);
	int rc;

	if (!out)
		return -ENOMEM;
	rc = metrics_write(&want, out);
	if (fclose(out) || rc) {
		free(text);
		return -ENOMEM;
	}
	free(s->text);
	s->text = text;
	s->bytes = bytes;
	return 0;
}

int scrape_make(struct scrape *s)
{
	struct snapshot_want all = {0};
	int64_t began = clock_us();
	struct snapshot *now;
	struct view *v;
	int rc;

	if (s->text && (uint64_t)began * 1000 < s->before->ns + REPEAT_NS)
		return 0;
	now = snapshot_take(&all);
	v = now ? view_make(s->before, now) : NULL;
	rc = !v ? -ENOMEM : s->before ? retired_update(&s->retired, s->before, now) : 0;
	if (!rc)
		rc = write_text(s, v, (double)(clock_us() - began) / 1e6);
	view_free(v);
	if (rc) {
		snapshot_free(now);
		return rc;
	}
	snapshot_free(s->before);
	s->before = now;
	return 0;
}

void scrape_fini(struct scrape *s)
{
	snapshot_free(s->before);
	free(s->retired.item);
	free(s->text);
}
