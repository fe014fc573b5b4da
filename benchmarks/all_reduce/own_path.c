/* SPDX-License-Identifier: Apache-2.0 */
#include "own_path.h"

#include "observe/snapshot.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_nic(struct own_path *p, const char *name)
{
	size_t used = strlen(p->nics);

	if (used + 1 + strlen(name) >= sizeof(p->nics))
		return;
	snprintf(p->nics + used, sizeof(p->nics) - used, "%s%s", used ? "," : "", name);
	p->nnics += used > 0;
}

static void read_record(const struct record *r, struct own_path *out)
{
	snprintf(out->provider, sizeof(out->provider), "%s", r->head.provider);
	for (size_t i = 0; i < r->rail_count; i++) {
		const struct weft_stats_rail *rail = &r->rails[i].r;
		const struct weft_stats_endpoint *e = record_endpoint(r, rail->endpoint);

		if (e && e->open && rail->state != WEFT_STATS_RAIL_CLOSED)
			add_nic(out, rail->name);
	}
}

void own_path_read(struct own_path *out)
{
	struct snapshot *s = snapshot_take(&(struct snapshot_want){.pid = (uint64_t)getpid()});

	*out = (struct own_path){.nnics = 1};
	for (size_t i = 0; s && i < s->count; i++)
		if (s->records[i]->life == RECORD_RUNNING)
			read_record(s->records[i], out);
	snapshot_free(s);
}
