/* SPDX-License-Identifier: Apache-2.0 */
/* Location of a NIC; see nic.h. */
#include "topo/nic.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	/* virtio devices, for example, are one level below their PCI function */
	if (last && last != real) {
		*last = 0;
		last = strrchr(real, '/');
		if (last && topo_pci_parse(last + 1))
			return real;
	}
	free(real);
	return NULL;
}

topo_pci topo_nic_place(const char *name, const char *pci)
{
	char *path = *pci ? NULL : topo_nic_pci_path(name, pci);
	topo_pci place = topo_pci_parse(path ? strrchr(path, '/') + 1 : pci);

	free(path);
	return place;
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

/* Cache of the last machine, because loading is slow. One entry suffices: a process asks for one machine. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct topo_machine machine;
static char *machine_xml;

static const struct topo_machine *nic_load(const char *xml)
{
	if (machine_xml && !strcmp(machine_xml, xml))
		return &machine;
	topo_machine_fini(&machine);
	free(machine_xml);
	machine_xml = strdup(xml);
	if (topo_machine_load(xml, &machine))
		topo_machine_fini(&machine);
	return &machine;
}

int topo_nic_numa(const char *xml, const char *pci, const char *pci_path)
{
	const struct topo_machine *m;
	int object, node = -1;

	if (!*pci && pci_path)
		pci = strrchr(pci_path, '/') + 1;
	if (!topo_pci_parse(pci))
		return -1;
	pthread_mutex_lock(&lock);
	m = nic_load(xml);
	object = topo_machine_find(m, topo_pci_parse(pci));
	if (object >= 0)
		node = m->objects[object].node;
	pthread_mutex_unlock(&lock);
	return node;
}
