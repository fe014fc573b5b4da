/* SPDX-License-Identifier: Apache-2.0 */
#include "own_path.h"

#include "observe/snapshot.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void add_path(struct own_path *p, const char *name)
{
	size_t used = strlen(p->paths);

	if (used + 1 + strlen(name) >= sizeof(p->paths))
		return;
	snprintf(p->paths + used, sizeof(p->paths) - used, "%s%s", used ? "," : "", name);
	p->npaths += used > 0;
}

static void add_nic(struct own_path *p, const struct weft_stats_rail *r)
{
	for (int i = 0; i < p->nnics; i++)
		if (!strcmp(p->nics[i].name, r->name))
			return;
	if (p->nnics == OWN_NICS_MAX)
		return;
	snprintf(p->nics[p->nnics].name, sizeof(p->nics->name), "%s", r->name);
	p->nics[p->nnics++].mbps = r->assumed ? 0 : (int)(r->nominal / 125000);
}

/* The number of connections to a peer over each NIC of an endpoint: 1, or its streams. */
static uint64_t streams(const struct record *r, uint64_t endpoint, size_t nics)
{
	uint64_t most = nics;

	for (size_t i = 0; i < r->comm_count; i++)
		if (r->comms[i].c.endpoint == endpoint && r->comms[i].c.paths > most)
			most = r->comms[i].c.paths;
	return most / nics;
}

static void read_endpoint(const struct record *r, uint64_t endpoint, struct own_path *out)
{
	const struct weft_stats_rail *rails[OWN_NICS_MAX];
	size_t n = 0;

	for (size_t i = 0; i < r->rail_count && n < OWN_NICS_MAX; i++)
		if (r->rails[i].r.endpoint == endpoint && r->rails[i].r.state != WEFT_STATS_RAIL_CLOSED)
			rails[n++] = &r->rails[i].r;
	for (size_t i = 0; i < n; i++)
		add_nic(out, rails[i]);
	for (uint64_t s = n ? streams(r, endpoint, n) : 0; s; s--)
		for (size_t i = 0; i < n; i++)
			add_path(out, rails[i]->name);
}

void own_path_read(struct own_path *out)
{
	struct snapshot *s = snapshot_take(&(struct snapshot_want){.pid = (uint64_t)getpid()});

	*out = (struct own_path){.npaths = 1};
	for (size_t i = 0; s && i < s->count; i++) {
		const struct record *r = s->records[i];

		if (r->life != RECORD_RUNNING)
			continue;
		snprintf(out->provider, sizeof(out->provider), "%s", r->head.provider);
		for (size_t k = 0; k < r->endpoint_count; k++)
			if (r->endpoints[k].e.open)
				read_endpoint(r, r->endpoints[k].index, out);
	}
	snapshot_free(s);
}
