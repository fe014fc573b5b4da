/* SPDX-License-Identifier: Apache-2.0 */
/* See model.h. */
#include "info/model.h"

struct model_machine model_machine(const struct machine *p, int nodes, int gpus, double latency_us)
{
	int used = gpus ? gpus : p->gpus;

	return (struct model_machine){.nodes = nodes,
				      .gpus = used,
				      .nics = (p->nics * used + p->gpus - 1) / p->gpus,
				      .nic_gbits = p->nic_gbits,
				      .link_gbs = used > 1 ? p->link_gbs : 0,
				      .latency_us = latency_us};
}

double model_line_rate(const struct model_machine *m)
{
	return m->nics * m->nic_gbits / 8.0;
}

static double ranks(const struct model_machine *m)
{
	return (double)m->nodes * m->gpus;
}

static void settle(const struct model_machine *m, struct model_way *w)
{
	w->rate_gbs = m->gpus > 1 && w->link_gbs < w->network_gbs ? w->link_gbs : w->network_gbs;
}

/* Each rank sends busbw's bytes to the next one, and one rank of each machine sends them to the next machine. */
struct model_way model_ring(const struct model_machine *m)
{
	double hops = 2 * (ranks(m) - 1);
	struct model_way w = {.network_hops = hops / m->gpus,
			      .inside_hops = hops - hops / m->gpus,
			      .network_gbs = model_line_rate(m),
			      .link_gbs = m->link_gbs};

	settle(m, &w);
	return w;
}

/* The number of levels of a binary tree below its root. */
static int levels(int nodes)
{
	int n = 0;

	while (1 << n < nodes && n < 30)
		n++;
	return n;
}

/*
 * Up a tree, and down again; inside a machine, along its GPUs. Of two trees, each with half of the data, a machine is inside
 * one and a leaf of the other, so the busiest machine sends each byte twice; of two machines, each sends it once.
 */
struct model_way model_tree(const struct model_machine *m)
{
	double n = ranks(m), per_alg = 2 * (n - 1) / n, twice = m->nodes > 2 ? 2 : 1;
	struct model_way w = {.network_hops = 2 * levels(m->nodes),
			      .inside_hops = 2 * (m->gpus - 1),
			      .network_gbs = model_line_rate(m) / twice * per_alg};

	if (m->gpus > 1)
		w.link_gbs = m->link_gbs * m->gpus / (2.0 * (m->gpus - 1)) * per_alg;
	settle(m, &w);
	return w;
}

struct model_result model_all_reduce(const struct model_machine *m, const struct model_way *way, int64_t bytes)
{
	double n = ranks(m), bus_bytes = (double)bytes * 2 * (n - 1) / n;
	struct model_result r = {.time_us = way->network_hops * m->latency_us + way->inside_hops * MODEL_INSIDE_US +
					    bus_bytes / way->rate_gbs / 1e3};

	r.algbw_gbs = (double)bytes / r.time_us / 1e3;
	r.busbw_gbs = bus_bytes / r.time_us / 1e3;
	return r;
}
