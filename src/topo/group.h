/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assignment of NICs to GPUs. Every GPU gets NICs at the nearest place above it with unassigned NICs: its own
 * switch, then its socket, then the whole machine. GPUs that meet at the same place divide its NICs in the order of
 * PCI addresses, or by bandwidth if the NICs differ in speed. If there are fewer NICs than GPUs, neighbouring GPUs
 * share a NIC. A GPU that finds all NICs assigned shares the nearest group. Each NIC left over without a GPU forms a
 * group of its own; on a machine without GPUs, all NICs do.
 *
 * Pure functions. The result depends on addresses and speeds, not on the order of the arguments.
 */
#ifndef WEFT_TOPO_GROUP_H
#define WEFT_TOPO_GROUP_H

#include "topo/machine.h"

#define TOPO_GROUP_MAX 8 /* NICs in a group */
#define TOPO_GPUS_MAX  8 /* GPUs of a group whose addresses are listed */

struct topo_nic {
	topo_pci pci;
	int speed_mbps;
};

struct topo_group {
	int nics[TOPO_GROUP_MAX]; /* indices in the caller's list, by PCI address */
	int nic_count;
	int gpus;		     /* number of GPUs it serves */
	topo_pci gpu[TOPO_GPUS_MAX]; /* addresses of the first TOPO_GPUS_MAX of them */
};

/*
 * Divides n NICs into groups of at most `most` (1 to TOPO_GROUP_MAX), ordered by their first NICs' addresses.
 * `out` has space for n groups. Returns the number of groups, or -ENOMEM.
 */
int topo_group(const struct topo_machine *m, const struct topo_nic nics[], int n, int most, struct topo_group out[]);

#endif
