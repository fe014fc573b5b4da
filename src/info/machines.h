/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machines of which `weft-info --what-if` has a model: the rows of the table of platforms that know their NICs, and the sizes of
 * the rows that stand for a family or for a part of a machine.
 */
#ifndef WEFT_INFO_MACHINES_H
#define WEFT_INFO_MACHINES_H

#include <stdbool.h>
#include <stddef.h>

#include "topo/platform.h"

struct machine {
	const char *name;
	const struct platform *platform; /* its row */
	int gpus, nics;
	int nic_gbits; /* of each NIC, in each direction */
	int link_gbs;  /* GB/s of each GPU in each direction to the others; 0: one GPU */
	bool pcie;     /* that link is PCIe and host memory, not NVLink */
};

/* Machine i, counted over all. False: there is none. */
bool machine_at(size_t i, struct machine *out);

/* False: there is no model of it. */
bool machine_find(const char *name, struct machine *out);

/* Is it a size of the row: "g5.48xlarge" of "g5.*"? */
bool machine_is_of(const struct machine *m, const char *platform);

#endif
