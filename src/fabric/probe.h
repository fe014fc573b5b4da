/* SPDX-License-Identifier: Apache-2.0 */
/* What a NIC can only be asked by opening it. */
#ifndef WEFT_FABRIC_PROBE_H
#define WEFT_FABRIC_PROBE_H

#include "fabric/fab.h"

/* Fills nic->order and writes_native; `why` becomes the clause that says why it reaches no memory of GPUs after all, or "". */
void probe_nic(struct fab_nic *nic, char *why, size_t why_bytes);

#endif
