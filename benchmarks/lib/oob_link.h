/* SPDX-License-Identifier: Apache-2.0 */
/* One connection of the out-of-band star: frames over a non-blocking TCP socket. For oob.c only. */
#ifndef WEFT_BENCH_OOB_LINK_H
#define WEFT_BENCH_OOB_LINK_H

#include <stddef.h>
#include <stdint.h>

enum oob_kind { OOB_HELLO = 1, OOB_PEERS, OOB_DATA, OOB_FAIL, OOB_LEAVE };

struct oob_frame {
	uint32_t magic;
	uint32_t kind;
	uint64_t bytes; /* that follow */
};

struct oob_link {
	int fd; /* -1: none */
	uint8_t *rx;
	size_t rx_bytes, rx_room;
};

/* Takes over a connected socket. */
void oob_link_init(struct oob_link *l, int fd);

/* Closes and frees; accepts a link that was never opened (all zero but fd = -1). */
void oob_link_fini(struct oob_link *l);

/*
 * Sends one frame; blocks while the socket is full, at most timeout_ms (-1: for ever).
 * 0, -EPIPE (the other side is gone) or -ETIMEDOUT.
 */
int oob_link_send(struct oob_link *l, enum oob_kind kind, const void *data, size_t bytes,
		  int timeout_ms);

/* Takes in what has arrived, without blocking. 0, or -EPIPE: nothing more will ever come. */
int oob_link_fill(struct oob_link *l);

/*
 * The first frame of this kind that is complete: its payload (valid until the next call on this
 * link) and size. NULL if there is none; NULL and *out_err = -EPROTO if the bytes are no frames.
 */
const void *oob_link_find(struct oob_link *l, enum oob_kind kind, size_t *out_bytes, int *out_err);

/* Removes the frame that oob_link_find just gave. */
void oob_link_drop(struct oob_link *l, const void *payload);

#endif
