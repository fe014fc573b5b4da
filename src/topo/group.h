/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which NICs serve which GPU. Every GPU gets NICs at the nearest place above it that has any left: those under
 * its own switch before those of its socket, those of its socket before any. GPUs that meet at the same place
 * divide its NICs: in the order of their PCI addresses, by bandwidth where NICs differ; when there are fewer
 * NICs than GPUs, each NIC is shared by neighbours; a GPU that finds all NICs taken shares the nearest group.
 * NICs that no GPU is left for stand alone, and so do all on a machine without GPUs.
 *
 * Pure functions. The result depends on addresses and speeds, not on the order in which they are given.
 */
#ifndef WEFT_TOPO_GROUP_H
#define WEFT_TOPO_GROUP_H

#include "topo/machine.h"

#define TOPO_GROUP_MAX 8 /* NICs in a group */
#define TOPO_GPUS_MAX  8 /* of the GPUs of a group, that are named */

struct topo_nic {
	topo_pci pci;
	int speed_mbps;
};

struct topo_group {
	int nics[TOPO_GROUP_MAX]; /* their numbers in the caller's list, by PCI address */
	int nic_count;
	int gpus; /* how many GPUs it serves */
	topo_pci gpu[TOPO_GPUS_MAX]; /* the first of them */
};

/*
 * Divides n NICs into groups of at most `most` (1 to TOPO_GROUP_MAX), ordered by their first NICs' addresses.
 * `out` has room for n. Returns how many there are, or -ENOMEM.
 */
int topo_group(const struct topo_machine *m, const struct topo_nic nics[], int n, int most,
	       struct topo_group out[]);

#endif
