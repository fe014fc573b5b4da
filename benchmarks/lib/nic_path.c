/* SPDX-License-Identifier: Apache-2.0 */
#include "nic_path.h"

#include "fabric/provider.h"
#include "observe/snapshot.h"
#include "topo/platform.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_path(struct nic_path *p, const char *name)
{
	size_t used = strlen(p->paths);

	if (used + 1 + strlen(name) >= sizeof(p->paths))
		return;
	snprintf(p->paths + used, sizeof(p->paths) - used, "%s%s", used ? "," : "", name);
	p->npaths += used > 0;
}

static void add_nic(struct nic_path *p, const struct weft_stats_rail *r)
{
	int i = 0;

	while (i < p->nnics && strcmp(p->nics[i].name, r->name))
		i++;
	if (i == NIC_PATH_MAX)
		return;
	if (i == p->nnics) {
		snprintf(p->nics[i].name, sizeof(p->nics[i].name), "%s", r->name);
		p->nics[i].mbps = r->assumed ? 0 : (int)(r->nominal / 125000);
		p->nnics++;
	}
	p->nics[i].sent += r->tx_bytes;
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

static void read_endpoint(const struct record *r, uint64_t endpoint, struct nic_path *out)
{
	const struct weft_stats_rail *rails[NIC_PATH_MAX];
	size_t n = 0;

	for (size_t i = 0; i < r->rail_count && n < NIC_PATH_MAX; i++)
		if (r->rails[i].r.endpoint == endpoint && r->rails[i].r.state != WEFT_STATS_RAIL_CLOSED)
			rails[n++] = &r->rails[i].r;
	for (size_t i = 0; i < n; i++)
		add_nic(out, rails[i]);
	for (uint64_t s = n ? streams(r, endpoint, n) : 0; s; s--)
		for (size_t i = 0; i < n; i++)
			add_path(out, rails[i]->name);
}

static void read_record(const struct record *r, struct nic_path *out)
{
	snprintf(out->provider, sizeof(out->provider), "%s", r->head.provider);
	for (size_t k = 0; k < r->endpoint_count; k++)
		if (r->endpoints[k].e.open)
			read_endpoint(r, r->endpoints[k].index, out);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* The table counts where Weft goes by it: on efa, or if WEFT_PLATFORM names a machine. */
static void find_speeds(struct nic_path *p)
{
	const char *wish = getenv("WEFT_PLATFORM");
	struct platform_choice c;

	platform_choose(wish && *wish ? wish : "auto", "", &c);
	p->inside = c.forced || !provider_quirks(p->provider)->ip;
	snprintf(p->source, sizeof(p->source), "as the NICs report");
	if (!c.platform->nic_gbits || (!c.forced && !begins(p->provider, "efa")))
		return;
	for (int i = 0; i < p->nnics; i++)
		p->nics[i].mbps = c.platform->nic_gbits * 1000;
	snprintf(p->source, sizeof(p->source), "from the table of platforms, for %.40s", c.name);
}

void nic_path_read(pid_t pid, struct nic_path *out)
{
	struct snapshot *s = snapshot_take(&(struct snapshot_want){.pid = (uint64_t)pid});

	*out = (struct nic_path){.npaths = 1};
	for (size_t i = 0; s && i < s->count; i++)
		if (s->records[i]->life == RECORD_RUNNING)
			read_record(s->records[i], out);
	snapshot_free(s);
	find_speeds(out);
}
