/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of this host's IP address for peers. */
#ifndef WEFT_PEER_ADDRESS_H
#define WEFT_PEER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/netif.h"

/* Each returns the family, 4 or 6, with the address in network order, or 0 if there is none. */

int address_from_text(const char *text, uint8_t out_ip[16]);

/*
 * Chooses the address that other hosts are most likely to reach, by the rule of netif.h; with local_only, a loopback
 * address. Never a link-local IPv6 address.
 */
int address_of_host(bool local_only, uint8_t out_ip[16]);

/* The same for a given list. Pure. */
int address_choose(const struct netif_list *l, bool local_only, uint8_t out_ip[16]);

#endif
