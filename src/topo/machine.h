/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Device tree of a machine as plain data, as needed for pairing NICs with GPUs: sockets, bridges and PCI
 * functions. hwloc reads it from the live machine or from a saved one.
 */
#ifndef WEFT_TOPO_MACHINE_H
#define WEFT_TOPO_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

/* A PCI address as one number that sorts like the address; 0: none. */
typedef uint64_t topo_pci;

#define TOPO_NAME_BYTES 32
#define TOPO_PCI_BYTES	16

enum topo_kind {
	TOPO_OTHER, /* any other object: the machine, a hwloc group, a core, another PCI function */
	TOPO_SOCKET,
	TOPO_ROOT, /* host bridge */
	TOPO_SWITCH,
	TOPO_GPU,
	TOPO_NIC,
};

struct topo_object {
	int parent; /* index of the parent, lower than this object's; -1: this is the root, index 0 */
	topo_pci pci;
	enum topo_kind kind;
	int node;		    /* its NUMA node by the kernel's number; -1: several, or unknown */
	char name[TOPO_NAME_BYTES]; /* kernel's name of a NIC, or "" */
	int speed_mbps;		    /* speed of a NIC from the file or by its device id, or 0: unknown */
	bool efa, rdma;		    /* kind of a NIC */
};

struct topo_machine {
	struct topo_object *objects;
	int count;
};

/* Parses an address such as "0000:3b:00.0"; 0: invalid. */
topo_pci topo_pci_parse(const char *text);

/*
 * Loads the machine of hwloc's XML file `xml`, or this machine if `xml` is "". Takes some ten milliseconds. Returns
 * 0, -ENOMEM, or -EINVAL if the file is missing or invalid. The caller frees it with topo_machine_fini in any case.
 */
int topo_machine_load(const char *xml, struct topo_machine *out);
void topo_machine_fini(struct topo_machine *m);

/* Formats an address as lspci does; "" for 0. Returns buf. */
char *topo_pci_text(topo_pci pci, char buf[TOPO_PCI_BYTES]);

/*
 * Is this object a NIC that Weft would use on its machine? Weft uses the EFA devices if there are any, else the RDMA
 * devices, else all NICs: a machine's other NICs serve storage and administration.
 */
bool topo_machine_uses(const struct topo_machine *m, const struct topo_object *o);

/*
 * Writes this machine as hwloc's XML to `file`, with the name and speed of the NICs in `known`, which hwloc does not
 * know. 0 or a negative errno.
 */
struct topo_known {
	topo_pci pci;
	const char *name;
	int speed_mbps;
};
int topo_machine_save(const char *file, const struct topo_known known[], int n);

/* Returns the lowest object that is at or above both. */
int topo_common_ancestor(const struct topo_machine *m, int a, int b);

/* Returns the index of the object at this address, or -1. */
int topo_machine_find(const struct topo_machine *m, topo_pci pci);

#endif
