/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of peer addresses before the provider sees them: some providers crash on invalid ones. */
#ifndef WEFT_FABRIC_ADDRESS_H
#define WEFT_FABRIC_ADDRESS_H

#include "fabric/fab.h"

/*
 * Checks that an endpoint of the NIC, whose own address is `own`, can send to `addr`. Sets the scope of a link-local
 * IPv6 address to our NIC's. Returns 0, or -EADDRNOTAVAIL with a clause in `why`.
 */
int address_fit(const struct fab_nic *nic, const char *own, uint8_t addr[FAB_ADDR_BYTES], char *why, size_t why_bytes);

#endif
