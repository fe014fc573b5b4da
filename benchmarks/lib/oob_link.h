/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the out-of-band star: frames over a non-blocking TCP socket. For oob.c only. */
#ifndef WEFT_BENCH_OOB_LINK_H
#define WEFT_BENCH_OOB_LINK_H

#include <stddef.h>
#include <stdint.h>

enum oob_kind { OOB_HELLO = 1, OOB_PEERS, OOB_DATA, OOB_FAIL, OOB_LEAVE, OOB_WELCOME };

/* Seconds without an answer after which a connection counts as broken: the default of WEFT_PEER_TIMEOUT. */
enum { OOB_SILENCE_S = 30 };

enum { OOB_FRAME_MAGIC = 0x57424e31 };

struct oob_frame {
	uint32_t magic;
	uint32_t kind;
	uint64_t bytes; /* length of the payload that follows */
};

struct oob_link {
	int fd;	   /* -1: none */
	int error; /* errno of a broken connection; 0: it works, or the other side has closed it */
	uint8_t *rx;
	size_t rx_bytes, rx_room;
	size_t most; /* limit of rx_bytes */
};

/* Takes ownership of a connected socket. */
void oob_link_init(struct oob_link *l, int fd);

/* Closes and frees. Accepts a link that was never opened (all zero, but fd = -1). */
void oob_link_fini(struct oob_link *l);

/*
 * Sends one frame; blocks while the socket is full, at most timeout_ms (-1: no limit). 0, -EPIPE (the connection has ended)
 * or -ETIMEDOUT.
 */
int oob_link_send(struct oob_link *l, enum oob_kind kind, const void *data, size_t bytes, int timeout_ms);

/*
 * Reads what has arrived, without blocking, and a bounded number of bytes. 0, or -EPIPE: the connection has ended, or
 * `most` bytes wait for being dropped, see `error`.
 */
int oob_link_fill(struct oob_link *l);

/*
 * The payload (valid until the next call on this link) and size of the first complete frame of this kind. NULL if there is
 * none; NULL and *out_err = -EPROTO if the received bytes are not frames.
 */
const void *oob_link_find(struct oob_link *l, enum oob_kind kind, size_t *out_bytes, int *out_err);

/* Removes the frame that oob_link_find has just returned. */
void oob_link_drop(struct oob_link *l, const void *payload);

#endif
