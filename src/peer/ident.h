/* SPDX-License-Identifier: Apache-2.0 */
/* Who a process is: what it tells its peers, and how messages name them. */
#ifndef WEFT_PEER_IDENT_H
#define WEFT_PEER_IDENT_H

#include <stdint.h>

#define PEER_UUID_BYTES 16
#define PEER_HOST_BYTES 64

struct peer_ident {
	uint8_t uuid[PEER_UUID_BYTES]; /* random, new for every process */
	uint32_t pid;
	char host[PEER_HOST_BYTES];
};

/* This process; a forked child gets an identity of its own. Any thread. */
const struct peer_ident *peer_self(void);

#endif
