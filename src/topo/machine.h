/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a machine matters for pairing NICs with GPUs, as plain data: a tree of sockets, bridges and PCI
 * functions. From the live machine or a saved one, by hwloc.
 */
#ifndef WEFT_TOPO_MACHINE_H
#define WEFT_TOPO_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* A PCI address as one number, in the order of addresses; 0 is none. */
typedef uint64_t topo_pci;

struct topo_object {
	int parent; /* its number, less than this object's own; -1: the root, which is number 0 */
	topo_pci pci;
	bool gpu;
	int node; /* the NUMA node it belongs to, by the kernel's number; -1: several, or unknown */
};

struct topo_machine {
	struct topo_object *objects;
	int count;
};

/* "0000:3b:00.0" as a number, 0 if it is none. */
topo_pci topo_pci_parse(const char *text);

/*
 * The machine in hwloc's XML file `xml`, or this one when it is "". Takes some ten milliseconds. 0, -ENOMEM, or
 * -EINVAL when there is no such file or it holds no machine. topo_machine_fini frees it in either case.
 */
int topo_machine_load(const char *xml, struct topo_machine *out);
void topo_machine_fini(struct topo_machine *m);

/* The object at this address, or -1. */
int topo_machine_find(const struct topo_machine *m, topo_pci pci);

#endif
