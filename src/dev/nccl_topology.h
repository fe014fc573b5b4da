/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling NCCL which GPU and which device belong together, on machines whose PCI tree hides it: a file in NCCL's own
 * form (its src/graph/xml.cc), named by NCCL_TOPO_FILE.
 */
#ifndef WEFT_DEV_NCCL_TOPOLOGY_H
#define WEFT_DEV_NCCL_TOPOLOGY_H

#include <stdio.h>

#include "dev/dev.h"

/* What becomes of the file. */
enum nccl_topology {
	NCCL_TOPOLOGY_NONE,  /* the tree shows what belongs together, or nothing does */
	NCCL_TOPOLOGY_OFF,   /* it would say something, but WEFT_NCCL_TOPOLOGY or the platform does not ask for it */
	NCCL_TOPOLOGY_USERS, /* NCCL_TOPO_FILE is the user's, or NVIDIA's topology daemon has written one */
	NCCL_TOPOLOGY_GIVEN,
};
enum nccl_topology nccl_topology_of(const struct dev_table *t);

/*
 * Writes a bridge that does not exist above the NICs and GPUs of each device that share none. NCCL finds everything else
 * by itself. How many devices were written, or -ENOMEM or -EINVAL when there is no machine.
 */
int nccl_topology_print(const struct dev_table *t, FILE *out);

/* Hands it over, if it is to be given: in memory, no file is left behind. For the plugin's init only; logs. */
void nccl_topology_give(const struct dev_table *t);

#endif
