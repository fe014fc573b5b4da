/* SPDX-License-Identifier: Apache-2.0 */
/* Where a NIC sits; see nic.h. */
#include "topo/nic.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hwloc.h>

#include "topo/machine.h"

char *topo_nic_pci_path(const char *name, const char *pci)
{
	char path[PATH_MAX];
	char *real, *last;

	if (*pci)
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", pci);
	else
		snprintf(path, sizeof(path), "/sys/class/net/%s/device", name);
	real = realpath(path, NULL);
	last = real ? strrchr(real, '/') : NULL;
	if (last && topo_pci_parse(last + 1))
		return real;
	/* virtio and the like hang one level below their PCI function */
	if (last && last != real) {
		*last = 0;
		last = strrchr(real, '/');
		if (last && topo_pci_parse(last + 1))
			return real;
	}
	free(real);
	return NULL;
}

int topo_nic_speed_mbps(const char *name)
{
	char path[PATH_MAX];
	int speed = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/class/net/%s/speed", name);
	f = fopen(path, "r");
	if (!f)
		return 0;
	if (fscanf(f, "%d", &speed) != 1 || speed < 0)
		speed = 0;
	fclose(f);
	return speed;
}

static int numa_of(hwloc_topology_t topology, const char *pci)
{
	hwloc_obj_t dev = hwloc_get_pcidev_by_busidstring(topology, pci);
	hwloc_obj_t near = dev ? hwloc_get_non_io_ancestor_obj(topology, dev) : NULL;

	if (!near || !near->nodeset || hwloc_bitmap_weight(near->nodeset) != 1)
		return -1;
	return hwloc_bitmap_first(near->nodeset);
}

int topo_nic_numa(const char *pci_path)
{
	hwloc_topology_t topology;
	int node = -1;

	if (!pci_path || hwloc_topology_init(&topology))
		return -1;
	hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
	if (!hwloc_topology_load(topology))
		node = numa_of(topology, strrchr(pci_path, '/') + 1);
	hwloc_topology_destroy(topology);
	return node;
}
