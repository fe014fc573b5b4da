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

#define TOPO_NAME_BYTES 32
#define TOPO_PCI_BYTES	16

enum topo_kind {
	TOPO_OTHER, /* the machine, a group, a core, any PCI function that is none of these */
	TOPO_SOCKET,
	TOPO_ROOT, /* a host bridge */
	TOPO_SWITCH,
	TOPO_GPU,
	TOPO_NIC,
};

struct topo_object {
	int parent; /* its number, less than this object's own; -1: the root, which is number 0 */
	topo_pci pci;
	enum topo_kind kind;
	int node; /* the NUMA node it belongs to, by the kernel's number; -1: several, or unknown */
	char name[TOPO_NAME_BYTES]; /* of a NIC, as the kernel calls it, or "" */
	int speed_mbps;		    /* of a NIC, as far as the file tells or its kind implies, or 0 */
	bool efa, rdma;		    /* kinds of NICs */
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

/* As lspci writes it; "" for 0. Returns buf. */
char *topo_pci_text(topo_pci pci, char buf[TOPO_PCI_BYTES]);

/*
 * Is this object a NIC that Weft would use on its machine? The EFA devices where there are some, else those for
 * RDMA, else all: a machine's other NICs are for its storage and administration.
 */
bool topo_machine_uses(const struct topo_machine *m, const struct topo_object *o);

/*
 * Writes this machine as hwloc's XML to `file`; of the NICs in `known`, name and speed too, which hwloc does not
 * know. 0 or a negative errno.
 */
struct topo_known {
	topo_pci pci;
	const char *name;
	int speed_mbps;
};
int topo_machine_save(const char *file, const struct topo_known known[], int n);

/* The lowest object that is above both, or one of them. */
int topo_machine_meet(const struct topo_machine *m, int a, int b);

/* The object at this address, or -1. */
int topo_machine_find(const struct topo_machine *m, topo_pci pci);

#endif
