/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and sockets by which rank 0 listens and the other ranks connect. For oob_meet.c only. */
#ifndef WEFT_BENCH_OOB_ADDR_H
#define WEFT_BENCH_OOB_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct addrinfo;

/* Milliseconds of a monotonic clock. */
int64_t oob_now_ms(void);

/*
 * Opens a socket that listens on `port`: on loopback if `host` is a loopback address or "localhost", otherwise on all
 * addresses, because a name of this host may resolve to 127.0.1.1 here and to a real address elsewhere. -1 and errno.
 */
int oob_listen(const char *host, int port);

/* Does the name resolve, but only to addresses of other hosts? */
bool oob_is_elsewhere(const char *host);

/* The addresses of a host, to be freed by freeaddrinfo; or NULL and *out_error. */
struct addrinfo *oob_resolve(const char *host, int port, const char **out_error);

/* Connects within timeout_ms. Returns the socket, or -1 and errno. */
int oob_connect(const struct addrinfo *to, int timeout_ms);

/* "10.0.0.1" */
void oob_address_text(const struct addrinfo *a, char *buf, size_t buf_bytes);

#endif
