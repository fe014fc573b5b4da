/* SPDX-License-Identifier: Apache-2.0 */
/* The machine's device tree as plain data; see machine.h. */
#include "topo/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hwloc.h>

#include "base/text.h"

#define VENDOR_NVIDIA  0x10de
#define VENDOR_AMAZON  0x1d0f
#define CLASS_NETWORK  0x02
#define CLASS_VGA      0x0300
#define CLASS_3D       0x0302
#define NAME_INFO      "WeftName" /* info that topo_machine_save adds to a NIC */
#define SPEED_INFO     "WeftMbps"
#define SPEED_MAX_MBPS 10000000 /* faster than any NIC; the speeds of a device's NICs are added */

/* Speed of EFA devices by PCI device id; hwloc's files do not contain it. */
static const struct {
	int id, mbps;
} efa_kinds[] = {{0xefa0, 100000}, {0xefa1, 100000}, {0xefa2, 200000}, {0xefa3, 400000}};

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

static topo_pci pci_of(const struct hwloc_pcidev_attr_s *pci)
{
	return address(pci->domain, pci->bus, pci->dev, pci->func);
}

static void fill_nic(struct topo_object *o, hwloc_obj_t obj)
{
	const struct hwloc_pcidev_attr_s *pci = &obj->attr->pcidev;
	const char *name = hwloc_obj_get_info_by_name(obj, NAME_INFO);
	const char *speed = hwloc_obj_get_info_by_name(obj, SPEED_INFO);
	hwloc_obj_t child;
	int64_t mbps;
	size_t i;

	o->kind = TOPO_NIC;
	for (i = 0; i < sizeof(efa_kinds) / sizeof(efa_kinds[0]) && pci->vendor_id == VENDOR_AMAZON; i++)
		if (pci->device_id == efa_kinds[i].id) {
			o->efa = true;
			o->speed_mbps = efa_kinds[i].mbps;
		}
	for (child = obj->io_first_child; child; child = child->next_sibling)
		if (child->type == HWLOC_OBJ_OS_DEVICE && child->name &&
		    (!*o->name || child->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS)) {
			snprintf(o->name, sizeof(o->name), "%s", child->name);
			o->rdma |= child->attr->osdev.type == HWLOC_OBJ_OSDEV_OPENFABRICS;
		}
	if (name)
		snprintf(o->name, sizeof(o->name), "%s", name);
	if (speed && !text_to_int(speed, &mbps) && mbps >= 0 && mbps <= SPEED_MAX_MBPS)
		o->speed_mbps = (int)mbps; /* a file may hold anything */
}

static void machine_fill(struct topo_object *o, hwloc_obj_t obj)
{
	const struct hwloc_pcidev_attr_s *pci = &obj->attr->pcidev;

	if (obj->type == HWLOC_OBJ_PACKAGE) {
		o->kind = TOPO_SOCKET;
	} else if (obj->type == HWLOC_OBJ_BRIDGE && obj->attr->bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST) {
		o->kind = TOPO_ROOT;
	} else if (obj->type == HWLOC_OBJ_BRIDGE) {
		o->kind = TOPO_SWITCH;
		o->pci = pci_of(&obj->attr->bridge.upstream.pci);
	} else if (obj->type == HWLOC_OBJ_PCI_DEVICE) {
		o->pci = pci_of(pci);
		if (pci->vendor_id == VENDOR_NVIDIA && (pci->class_id == CLASS_3D || pci->class_id == CLASS_VGA))
			o->kind = TOPO_GPU;
		if (pci->class_id >> 8 == CLASS_NETWORK)
			fill_nic(o, obj);
	}
}

static bool add(struct topo_machine *m, hwloc_obj_t obj, int parent)
{
	struct topo_object *o, *more;

	if (!(m->count & (m->count - 1))) { /* the array is full at 0 and at each power of two */
		more = realloc(m->objects, (m->count ? 2 * (size_t)m->count : 1) * sizeof(*more));
		if (!more)
			return false;
		m->objects = more;
	}
	o = &m->objects[m->count++];
	*o = (struct topo_object){.parent = parent, .node = -1};
	if (!obj->nodeset && parent >= 0) /* an I/O object belongs to its parent's node */
		o->node = m->objects[parent].node;
	else if (obj->nodeset && hwloc_bitmap_weight(obj->nodeset) == 1)
		o->node = hwloc_bitmap_first(obj->nodeset);
	machine_fill(o, obj);
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

int topo_common_ancestor(const struct topo_machine *m, int a, int b)
{
	while (a != b) { /* parents have lower numbers */
		if (a > b)
			a = m->objects[a].parent;
		else
			b = m->objects[b].parent;
	}
	return a;
}

int topo_machine_find(const struct topo_machine *m, topo_pci pci)
{
	int i;

	for (i = 0; i < m->count; i++)
		if (pci && m->objects[i].pci == pci)
			return i;
	return -1;
}

char *topo_pci_text(topo_pci pci, char buf[TOPO_PCI_BYTES])
{
	*buf = 0;
	if (pci)
		snprintf(buf, TOPO_PCI_BYTES, "%04x:%02x:%02x.%x", (unsigned)(pci >> 32 & 0xffff),
			 (unsigned)(pci >> 16 & 0xffff), (unsigned)(pci >> 8 & 0xff), (unsigned)(pci & 0xff));
	return buf;
}

bool topo_machine_uses(const struct topo_machine *m, const struct topo_object *o)
{
	bool efa = false, rdma = false;
	int i;

	for (i = 0; i < m->count; i++) {
		efa |= m->objects[i].efa;
		rdma |= m->objects[i].rdma;
	}
	return o->kind == TOPO_NIC && (efa ? o->efa : rdma ? o->rdma : true);
}

int topo_machine_save(const char *file, const struct topo_known known[], int n)
{
	char text[TOPO_PCI_BYTES];
	hwloc_topology_t topology;
	hwloc_obj_t obj;
	int i, ret;

	if (hwloc_topology_init(&topology))
		return -ENOMEM;
	hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
	ret = hwloc_topology_load(topology) ? -ENOTSUP : 0;
	for (i = 0; i < n && !ret; i++) {
		obj = hwloc_get_pcidev_by_busidstring(topology, topo_pci_text(known[i].pci, text));
		snprintf(text, sizeof(text), "%d", known[i].speed_mbps);
		if (obj && (hwloc_obj_add_info(obj, NAME_INFO, known[i].name) ||
			    (known[i].speed_mbps && hwloc_obj_add_info(obj, SPEED_INFO, text))))
			ret = -ENOMEM;
	}
	errno = 0;
	if (!ret && hwloc_topology_export_xml(topology, file, 0))
		ret = errno ? -errno : -EIO;
	hwloc_topology_destroy(topology);
	return ret;
}
