/* SPDX-License-Identifier: Apache-2.0 */
/* Location and speed of a NIC, from the machine's files if the provider does not report them. */
#ifndef WEFT_TOPO_NIC_H
#define WEFT_TOPO_NIC_H

#include "topo/machine.h"

/*
 * Returns the resolved /sys directory of the PCI function at `pci` ("0000:3b:00.0") or, if that is "", of the network
 * interface `name`. malloc'd, the caller frees; NULL: not a PCI device.
 */
char *topo_nic_pci_path(const char *name, const char *pci);

/* Returns the address of the same PCI function, or 0. */
topo_pci topo_nic_place(const char *name, const char *pci);

/* Speed of the network interface in Mbit/s, or 0 if the kernel does not know it. */
int topo_nic_speed_mbps(const char *name);

/*
 * NUMA node of the PCI function at `pci` ("0000:3b:00.0") or, if that is "", of the one with the directory `pci_path`
 * (NULL: none). The machine is that of hwloc's XML file `xml` or, if that is "", this one. -1: unknown. Any thread.
 * The first call loads the machine, which takes some ten milliseconds.
 */
int topo_nic_numa(const char *xml, const char *pci, const char *pci_path);

#endif
