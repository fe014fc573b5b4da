/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topology file for NCCL that shows the pairing of GPUs and devices on machines whose PCI tree hides it. It has
 * NCCL's format (src/graph/xml.cc of NCCL) and is passed by NCCL_TOPO_FILE.
 */
#ifndef WEFT_DEV_NCCL_TOPOLOGY_H
#define WEFT_DEV_NCCL_TOPOLOGY_H

#include <stdio.h>

#include "dev/dev.h"

/* Decision about the file. */
enum nccl_topology {
	NCCL_TOPOLOGY_NONE,  /* not needed: the tree shows every pairing, or there is none */
	NCCL_TOPOLOGY_OFF,   /* useful, but not enabled by WEFT_NCCL_TOPOLOGY or the platform */
	NCCL_TOPOLOGY_USERS, /* kept: the user's NCCL_TOPO_FILE, or the file of NVIDIA's topology daemon */
	NCCL_TOPOLOGY_GIVEN, /* Weft sets NCCL_TOPO_FILE */
};
enum nccl_topology nccl_topology_of(const struct dev_table *t);

/*
 * Writes a virtual bridge above the NICs and GPUs of each device without a common bridge. NCCL detects everything else
 * by itself. Returns the number of devices written, -ENOMEM, or -EINVAL if the machine can't be loaded.
 */
int nccl_topology_print(const struct dev_table *t, FILE *out);

/* Sets NCCL_TOPO_FILE, if enabled and needed, to a file in memory. Logs. For the plugin's init only. */
void nccl_topology_give(const struct dev_table *t);

#endif
