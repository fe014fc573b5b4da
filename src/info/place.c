/* SPDX-License-Identifier: Apache-2.0 */
/*
 * weft-info --placement: the NUMA node of each device, and the real location of a memory sample allocated as for an
 * endpoint. Queries the kernel about its own pages; opens no endpoint.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "info/info.h"
#include "topo/near.h"
#include "topo/nic.h"

#define SAMPLE_BYTES (1 << 20)

/* Prints the location of a sample allocated on this node, or the reason for not knowing it. */
static void print_sample(int node)
{
	char where[64];
	void *mem = topo_near_alloc(node, SAMPLE_BYTES);

	if (!mem) {
		printf("no memory for a sample\n");
		return;
	}
	memset(mem, 1, SAMPLE_BYTES); /* only touched pages have a location */
	topo_near_where(mem, SAMPLE_BYTES, where, sizeof(where));
	if (!*where)
		printf("the kernel does not tell where a sample lies (a container needs CAP_SYS_NICE for it)\n");
	else if (node >= 0 && strtol(where, NULL, 10) == node && !strpbrk(where, ",-"))
		printf("a sample of 1 MiB lies there\n");
	else
		printf("a sample of 1 MiB lies on node %s%s\n", where, node >= 0 ? ": NOT near" : "");
	topo_near_free(mem, SAMPLE_BYTES);
}

void info_print_placement(const struct dev_table *t)
{
	int i, nodes = topo_near_nodes();

	if (nodes > 1)
		printf("This process may use %d NUMA nodes; rings and control buffers go to that of the leading NIC\n",
		       nodes);
	else
		printf("This process may use one NUMA node: there is no choice\n");
	for (i = 0; i < t->count; i++) {
		const struct dev *d = &t->devs[i];
		int node = topo_nic_numa(t->conf.topology, d->nic->pci, d->pci_path);

		printf("    %d  %-14s ", i, d->nic->name);
		if (node >= 0)
			printf("NUMA node %d; ", node);
		else
			printf("NUMA node unknown; ");
		print_sample(node);
	}
	if (!t->count)
		printf("    no device: %s\n", t->why);
}
