/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as plain data; see machine.h. */
#include "topo/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>

#define VENDOR_NVIDIA	 0x10de
#define CLASS_VGA	 0x0300
#define CLASS_3D	 0x0302

static topo_pci address(unsigned domain, unsigned bus, unsigned device, unsigned function)
{
	return 1ull << 63 | (uint64_t)domain << 32 | bus << 16 | device << 8 | function;
}

topo_pci topo_pci_parse(const char *text)
{
	unsigned domain, bus, device, function;
	int used = 0;

	if (sscanf(text, "%x:%x:%x.%x%n", &domain, &bus, &device, &function, &used) != 4 || text[used])
		return 0;
	return address(domain, bus, device, function);
}

static bool add(struct topo_machine *m, hwloc_obj_t obj, int parent)
{
	struct topo_object *o, *more;

	if (!(m->count & (m->count - 1))) { /* a power of two, or 0: full */
		more = realloc(m->objects, (m->count ? 2 * (size_t)m->count : 1) * sizeof(*more));
		if (!more)
			return false;
		m->objects = more;
	}
	o = &m->objects[m->count++];
	*o = (struct topo_object){.parent = parent, .node = -1};
	if (!obj->nodeset && parent >= 0) /* I/O is where the place above it is */
		o->node = m->objects[parent].node;
	else if (obj->nodeset && hwloc_bitmap_weight(obj->nodeset) == 1)
		o->node = hwloc_bitmap_first(obj->nodeset);
	if (obj->type == HWLOC_OBJ_PCI_DEVICE) {
		const struct hwloc_pcidev_attr_s *pci = &obj->attr->pcidev;

		o->pci = address(pci->domain, pci->bus, pci->dev, pci->func);
		o->gpu = pci->vendor_id == VENDOR_NVIDIA &&
			 (pci->class_id == CLASS_3D || pci->class_id == CLASS_VGA);
	}
	return true;
}

static bool walk(struct topo_machine *m, hwloc_obj_t obj, int parent)
{
	int self = m->count;
	hwloc_obj_t child;
	bool good = add(m, obj, parent);

	for (child = obj->first_child; child && good; child = child->next_sibling)
		good = walk(m, child, self);
	for (child = obj->io_first_child; child && good; child = child->next_sibling)
		good = walk(m, child, self);
	return good;
}

int topo_machine_load(const char *xml, struct topo_machine *out)
{
	hwloc_topology_t topology;
	int ret = -EINVAL;

	memset(out, 0, sizeof(*out));
	if (*xml && access(xml, R_OK))
		return -EINVAL;
	if (hwloc_topology_init(&topology))
		return -ENOMEM;
	hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
	if (*xml && hwloc_topology_set_xml(topology, xml))
		goto end;
	if (!hwloc_topology_load(topology))
		ret = walk(out, hwloc_get_root_obj(topology), -1) ? 0 : -ENOMEM;
end:
	hwloc_topology_destroy(topology);
	return ret;
}

void topo_machine_fini(struct topo_machine *m)
{
	free(m->objects);
	memset(m, 0, sizeof(*m));
}

int topo_machine_find(const struct topo_machine *m, topo_pci pci)
{
	int i;

	for (i = 0; i < m->count; i++)
		if (pci && m->objects[i].pci == pci)
			return i;
	return -1;
}
