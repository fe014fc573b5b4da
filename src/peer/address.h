/* SPDX-License-Identifier: Apache-2.0 */
/* Which IP address of this host peers can reach. */
#ifndef WEFT_PEER_ADDRESS_H
#define WEFT_PEER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Each returns the family, 4 or 6, with the address in network order, or 0 when there is none. */

int address_from_text(const char *text, uint8_t out_ip[16]);

/*
 * The first address of an interface that is up: of the loopback when local_only, else of any other; IPv4
 * before IPv6, never link-local.
 */
int address_of_host(bool local_only, uint8_t out_ip[16]);

#endif
