/* SPDX-License-Identifier: Apache-2.0 */
/* Where a NIC sits: what the machine's files say beyond what the provider told. */
#ifndef WEFT_TOPO_NIC_H
#define WEFT_TOPO_NIC_H

#include "topo/machine.h"

/*
 * The resolved /sys directory of the PCI function, from its PCI address ("0000:3b:00.0") or, when that is
 * "", from the network interface `name`. malloc'd, the caller frees; NULL when it is no PCI device.
 */
char *topo_nic_pci_path(const char *name, const char *pci);

/* The PCI function meant by the same, or 0. */
topo_pci topo_nic_place(const char *name, const char *pci);

/* Speed of the network interface in Mbit/s, or 0 when the kernel does not know. */
int topo_nic_speed_mbps(const char *name);

/*
 * NUMA node of the PCI function, by hwloc's XML file `xml` or, when that is "", by this machine: of the function at
 * `pci` ("0000:3b:00.0") or, when that is "", of the one whose directory is `pci_path` (NULL: none). -1: unknown.
 * The first call loads the machine, which takes some ten milliseconds.
 */
int topo_nic_numa(const char *xml, const char *pci, const char *pci_path);

#endif
