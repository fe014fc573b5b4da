/* SPDX-License-Identifier: Apache-2.0 */
/* Where a NIC sits: what the machine's files say beyond what the provider told. */
#ifndef WEFT_TOPO_NIC_H
#define WEFT_TOPO_NIC_H

#include <stdbool.h>

/*
 * The resolved /sys directory of the PCI function, from its PCI address ("0000:3b:00.0") or, when that is
 * "", from the network interface `name`. malloc'd, the caller frees; NULL when it is no PCI device.
 */
char *topo_nic_pci_path(const char *name, const char *pci);

/* Speed of the network interface in Mbit/s, or 0 when the kernel does not know. */
int topo_nic_speed_mbps(const char *name);

/*
 * NUMA node of the PCI function at `pci_path`, by hwloc's tree; -1 when pci_path is NULL or unknown.
 * Loads the machine's topology, which takes some milliseconds: for tools.
 */
int topo_nic_numa(const char *pci_path);

#endif
