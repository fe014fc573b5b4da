/* SPDX-License-Identifier: Apache-2.0 */
/* Identity of a process, sent to its peers and used in log messages. */
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

/* Identity of this process; a forked child gets a new one. Any thread. Never NULL. */
const struct peer_ident *peer_self(void);

#endif
