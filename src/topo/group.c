/* SPDX-License-Identifier: Apache-2.0 */
/* Pairing NICs with GPUs; see group.h. */
#include "topo/group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A GPU or a NIC to pair. */
struct unit {
	topo_pci pci;
	int speed_mbps;
	int object; /* index in the machine's objects; 0, the root, if its place is unknown */
	int number; /* of a NIC: index in the caller's list */
	bool paired;
};

struct pairing {
	const struct topo_machine *m;
	struct unit *gpus, *nics; /* sorted by PCI address */
	int gpu_count, nic_count;
	int most; /* NICs in a group */
	struct topo_group *out;
	int count;
};

static int by_address(const void *a, const void *b)
{
	const struct unit *x = a, *y = b;

	return x->pci < y->pci ? -1 : x->pci > y->pci;
}

static bool is_below(const struct topo_machine *m, int object, int place)
{
	while (object > place)
		object = m->objects[object].parent; /* parents have lower numbers */
	return object == place;
}

/* Lists the unpaired units at or below a place. Returns their number. */
static int unpaired(const struct topo_machine *m, struct unit *units, int n, int place, struct unit **out)
{
	int i, found = 0;

	for (i = 0; i < n; i++)
		if (!units[i].paired && is_below(m, units[i].object, place))
			out[found++] = &units[i];
	return found;
}

static void serve(struct topo_group *g, const struct unit *gpu)
{
	if (g->gpus < TOPO_GPUS_MAX)
		g->gpu[g->gpus] = gpu->pci;
	g->gpus++;
}

static struct topo_group *new_group(struct pairing *p, struct unit **gpus, int n)
{
	struct topo_group *g = &p->out[p->count++];
	int i;

	*g = (struct topo_group){.gpus = 0};
	for (i = 0; i < n; i++)
		serve(g, gpus[i]);
	return g;
}

/* Makes groups of about equal size from these NICs, as many as needed; each serves all these GPUs. */
static void make_groups(struct pairing *p, struct unit **nics, int n, struct unit **gpus, int g_count)
{
	int parts = (n + p->most - 1) / p->most, part, i;

	for (part = 0; part < parts; part++) {
		struct topo_group *g = new_group(p, gpus, g_count);

		for (i = part * n / parts; i < (part + 1) * n / parts; i++) {
			nics[i]->paired = true;
			g->nics[g->nic_count++] = nics[i]->number;
		}
	}
}

static bool same_speed(struct unit **nics, int n)
{
	int i;

	for (i = 1; i < n; i++)
		if (nics[i]->speed_mbps != nics[0]->speed_mbps)
			return false;
	return true;
}

static int by_speed(const void *a, const void *b)
{
	const struct unit *x = *(struct unit *const *)a, *y = *(struct unit *const *)b;

	return x->speed_mbps != y->speed_mbps ? y->speed_mbps - x->speed_mbps : by_address(x, y);
}

static int by_address_of(const void *a, const void *b)
{
	return by_address(*(struct unit *const *)a, *(struct unit *const *)b);
}

/* Assigns each NIC, fastest first, to the GPU with the lowest total speed so far. */
static void deal_by_speed(struct pairing *p, struct unit **gpus, int g, struct unit **nics, int n)
{
	struct unit *hand[n];
	int turn, i, held, whose[n];
	long speed[g];

	memset(speed, 0, sizeof(speed));
	qsort(nics, (size_t)n, sizeof(nics[0]), by_speed);
	for (i = 0; i < n; i++) {
		whose[i] = 0;
		for (turn = 1; turn < g; turn++)
			if (speed[turn] < speed[whose[i]])
				whose[i] = turn;
		speed[whose[i]] += nics[i]->speed_mbps ? nics[i]->speed_mbps : 1;
	}
	for (turn = 0; turn < g; turn++) {
		for (i = held = 0; i < n; i++)
			if (whose[i] == turn)
				hand[held++] = nics[i];
		qsort(hand, (size_t)held, sizeof(hand[0]), by_address_of);
		make_groups(p, hand, held, &gpus[turn], 1);
	}
}

/* Divides these NICs among these GPUs. */
static void pair(struct pairing *p, struct unit **gpus, int g, struct unit **nics, int n)
{
	int i;

	for (i = 0; i < g; i++)
		gpus[i]->paired = true;
	if (n >= g && !same_speed(nics, n)) {
		deal_by_speed(p, gpus, g, nics, n);
		return;
	}
	for (i = 0; i < g && n >= g; i++)
		make_groups(p, nics + i * n / g, (i + 1) * n / g - i * n / g, &gpus[i], 1);
	for (i = 0; i < n && n < g; i++)
		make_groups(p, nics + i, 1, gpus + i * g / n, (i + 1) * g / n - i * g / n);
}

static int depth(const struct topo_machine *m, int object)
{
	int n = 0;

	while ((object = m->objects[object].parent) >= 0)
		n++;
	return n;
}

/* Adds a GPU without NICs of its own to the nearest group; among equally near ones, to that with the fewest GPUs. */
static void group_share(struct pairing *p, const struct unit *gpu, const struct topo_nic nics[])
{
	struct topo_group *best = NULL;
	int i, at, nearest = -1;

	for (i = 0; i < p->count; i++) {
		struct topo_group *g = &p->out[i];

		at = topo_machine_find(p->m, nics[g->nics[0]].pci);
		at = depth(p->m, topo_common_ancestor(p->m, gpu->object, at > 0 ? at : 0));
		if (best && (at < nearest || (at == nearest && g->gpus >= best->gpus)))
			continue;
		best = g;
		nearest = at;
	}
	if (best)
		serve(best, gpu);
}

/* Visits every place after all places below it: those have higher numbers. */
static int pair_all(struct pairing *p)
{
	struct unit **gpus = calloc((size_t)p->gpu_count + 1, sizeof(struct unit *));
	struct unit **nics = calloc((size_t)p->nic_count + 1, sizeof(struct unit *));
	int place, g, n;

	if (gpus && nics) {
		for (place = p->m->count - 1; place >= 0; place--) {
			g = unpaired(p->m, p->gpus, p->gpu_count, place, gpus);
			n = g ? unpaired(p->m, p->nics, p->nic_count, place, nics) : 0;
			if (n)
				pair(p, gpus, g, nics, n);
		}
		for (n = 0; n < p->nic_count; n++) {
			nics[0] = &p->nics[n];
			if (!nics[0]->paired)
				make_groups(p, nics, 1, NULL, 0);
		}
	}
	free(gpus);
	free(nics);
	return gpus && nics ? 0 : -ENOMEM;
}

static int by_first(const void *a, const void *b, void *nics)
{
	const struct topo_nic *list = nics;
	topo_pci x = list[((const struct topo_group *)a)->nics[0]].pci;
	topo_pci y = list[((const struct topo_group *)b)->nics[0]].pci;

	return x < y ? -1 : x > y;
}

static void fill_units(struct pairing *p, const struct topo_nic nics[], int n)
{
	int i, object;

	for (i = 0; i < p->m->count; i++)
		if (p->m->objects[i].kind == TOPO_GPU)
			p->gpus[p->gpu_count++] = (struct unit){.pci = p->m->objects[i].pci, .object = i};
	for (i = 0; i < n; i++) {
		object = topo_machine_find(p->m, nics[i].pci);
		p->nics[p->nic_count++] = (struct unit){.pci = nics[i].pci,
							.speed_mbps = nics[i].speed_mbps,
							.object = object > 0 ? object : 0,
							.number = i};
	}
	qsort(p->gpus, (size_t)p->gpu_count, sizeof(p->gpus[0]), by_address);
	qsort(p->nics, (size_t)p->nic_count, sizeof(p->nics[0]), by_address);
}

int topo_group(const struct topo_machine *m, const struct topo_nic nics[], int n, int most, struct topo_group out[])
{
	struct pairing p = {.m = m, .most = most, .out = out};
	int i, ret = -ENOMEM;

	p.gpus = calloc((size_t)m->count + 1, sizeof(*p.gpus));
	p.nics = calloc((size_t)n + 1, sizeof(*p.nics));
	if (p.gpus && p.nics) {
		fill_units(&p, nics, n);
		ret = pair_all(&p);
	}
	if (!ret)
		qsort_r(out, (size_t)p.count, sizeof(out[0]), by_first, (void *)(uintptr_t)nics);
	for (i = 0; !ret && i < p.gpu_count; i++)
		if (!p.gpus[i].paired)
			group_share(&p, &p.gpus[i], nics);
	free(p.gpus);
	free(p.nics);
	return ret ? ret : p.count;
}
