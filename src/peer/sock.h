/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets of lifelines: non-blocking, close-on-exec. The caller owns each socket. Internal to peer. */
#ifndef WEFT_PEER_SOCK_H
#define WEFT_PEER_SOCK_H

#include <stdint.h>

#include "peer/lifeline.h"

#define SOCK_TEXT_BYTES 64 /* "[address]:port" */

/* Opens a listening socket at addr and sets addr->port. Returns the socket or a negative errno. */
int sock_listen(struct lifeline_addr *addr);

/*
 * Opens a socket and starts connecting to addr. *out_err: 0, or the errno if that has failed already. Keep-alives end
 * the connection after a silence of silence_us. Returns the socket or a negative errno.
 */
int sock_dial(const struct lifeline_addr *addr, int64_t silence_us, int *out_err);

/* Accepts the next connection, with the same keep-alives. Returns the socket or a negative errno. */
int sock_accept(int listening, int64_t silence_us);

/* State of the connection of sock_dial: 0: connected, -EINPROGRESS, or the negative errno of its failure. */
int sock_connected(int fd);

/* Microseconds since the last data or acknowledgement from the peer's host; -1: unknown. */
int64_t sock_silent_us(int fd);

/* Writes both addresses of the socket, "" if unknown. If addr->family is not 0, `there` is `addr`. */
void sock_ends(int fd, const struct lifeline_addr *addr, char here[SOCK_TEXT_BYTES], char there[SOCK_TEXT_BYTES]);

#endif
