/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-info --topology: the tree of sockets, bridges and PCI functions of a machine, without branches that contain
 * neither GPUs nor NICs, then the devices that Weft makes of it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info/info.h"
#include "topo/machine.h"
#include "topo/nic.h"

/* Returns the device that has this NIC as a rail or serves this GPU, or -1. */
static int device_of(const struct dev_table *t, topo_pci pci)
{
	int d, i;

	for (d = 0; d < t->count; d++) {
		for (i = 0; i < t->devs[d].rail_count; i++)
			if (topo_nic_place(t->devs[d].rails[i]->name, t->devs[d].rails[i]->pci) == pci)
				return d;
		for (i = 0; i < dev_gpus_named(&t->devs[d]); i++)
			if (t->devs[d].gpu[i] == pci)
				return d;
	}
	return -1;
}

/* Marks the objects that are, or contain, a GPU or a NIC. Parents have lower numbers. */
static bool *branches(const struct topo_machine *m)
{
	bool *keep = calloc((size_t)m->count + 1, sizeof(*keep));
	int i;

	for (i = m->count - 1; i >= 0 && keep; i--) {
		keep[i] |= m->objects[i].kind == TOPO_GPU || m->objects[i].kind == TOPO_NIC;
		if (keep[i] && m->objects[i].parent >= 0)
			keep[m->objects[i].parent] = true;
	}
	return keep;
}

static void print_speed(int mbps)
{
	if (mbps % 1000)
		printf("%d Mb/s", mbps);
	else
		printf("%d Gb/s", mbps / 1000);
}

static void print_function(const struct dev_table *t, const struct topo_object *o)
{
	int d = device_of(t, o->pci);
	char pci[TOPO_PCI_BYTES];

	printf("%s %s", o->kind == TOPO_GPU ? "GPU" : "NIC", topo_pci_text(o->pci, pci));
	if (o->kind == TOPO_NIC && *o->name)
		printf("  %s", o->name);
	if (o->kind == TOPO_NIC && o->speed_mbps) {
		printf(", ");
		print_speed(o->speed_mbps);
	}
	if (d >= 0)
		printf("  -> device %d", d);
	else
		printf("  -> %s", o->kind == TOPO_GPU ? "no device of its own" : "not used");
	printf("\n");
}

static void print_object(const struct dev_table *t, const struct topo_machine *m, int i, int depth, int sockets)
{
	const struct topo_object *o = &m->objects[i];
	char pci[TOPO_PCI_BYTES];

	printf("%*s", 2 * depth, "");
	switch (o->kind) {
	case TOPO_SOCKET:
		printf("socket %d", sockets);
		if (o->node >= 0)
			printf(", NUMA node %d", o->node);
		printf("\n");
		break;
	case TOPO_ROOT: printf("PCI root\n"); break;
	case TOPO_SWITCH: printf("bridge %s\n", topo_pci_text(o->pci, pci)); break;
	case TOPO_GPU:
	case TOPO_NIC: print_function(t, o); break;
	case TOPO_OTHER: printf("%s\n", i ? "group" : "machine"); break;
	}
}

static void print_tree(const struct dev_table *t, const struct topo_machine *m)
{
	bool *keep = branches(m);
	int *depth = calloc((size_t)m->count + 1, sizeof(*depth));
	int i, sockets = 0;

	for (i = 0; i < m->count && keep && depth; i++) {
		const struct topo_object *o = &m->objects[i];

		depth[i] = o->parent >= 0 ? depth[o->parent] + 1 : 0;
		if (keep[i])
			print_object(t, m, i, depth[i], sockets);
		sockets += o->kind == TOPO_SOCKET;
	}
	free(depth);
	free(keep);
}

static void topology_print_device(const struct dev_table *t, int number)
{
	const struct dev *d = &t->devs[number];
	char pci[TOPO_PCI_BYTES];
	int i;

	printf("  %d  ", number);
	print_speed(d->speed_mbps);
	printf(", %d rail%s:", d->rail_count, d->rail_count == 1 ? "" : "s");
	for (i = 0; i < d->rail_count; i++)
		printf(" %s", d->rails[i]->name);
	printf("; %s", d->gpus ? "GPU" : "no GPU");
	for (i = 0; i < dev_gpus_named(d); i++)
		printf(" %s", topo_pci_text(d->gpu[i], pci));
	if (d->gpus > TOPO_GPUS_MAX)
		printf(" and %d more", d->gpus - TOPO_GPUS_MAX);
	printf("\n");
}

int info_print_topology(const struct dev_table *t)
{
	struct topo_machine m;
	int i, ret = topo_machine_load(t->conf.topology, &m);

	if (!ret)
		print_tree(t, &m);
	else
		fprintf(stderr, "weft-info: hwloc can't load the machine\n");
	topo_machine_fini(&m);
	printf("\nDevices NCCL %s see\n", t->report.nics && t->report.nics->info ? "will" : "would");
	for (i = 0; i < t->count; i++)
		topology_print_device(t, i);
	if (!t->count)
		printf("  none: %s\n", t->why);
	if (*t->note)
		printf("  %s\n", t->note);
	return ret;
}

int info_save_topology(const struct dev_table *t, const char *file)
{
	int i, ret, n = t->report.nic_count;
	struct topo_known *known = calloc((size_t)n + 1, sizeof(*known));

	if (!known)
		return -ENOMEM;
	for (i = 0; i < n; i++) {
		const struct fab_nic *nic = &t->report.nics[i];

		known[i] = (struct topo_known){topo_nic_place(nic->name, nic->pci), nic->name, dev_nic_mbps(nic)};
	}
	ret = topo_machine_save(file, known, n);
	if (ret)
		fprintf(stderr, "weft-info: cannot write the machine to %s: %s\n", file, strerror(-ret));
	free(known);
	return ret;
}
