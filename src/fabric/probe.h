/* SPDX-License-Identifier: Apache-2.0 */
/* Properties that are known only after opening a NIC. */
#ifndef WEFT_FABRIC_PROBE_H
#define WEFT_FABRIC_PROBE_H

#include "fabric/fab.h"

/* Fills nic->order and writes_native; `why` gets the reason why the NIC can't access GPU memory: a clause, or "". */
void probe_nic(struct fab_nic *nic, char *why, size_t why_bytes);

#endif
