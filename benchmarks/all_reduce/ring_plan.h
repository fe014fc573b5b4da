/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a ring all-reduce cuts its data: pure arithmetic, the same on every rank.
 *
 *	operation = channels x blocks;  block = nranks chunks;  chunk = up to 8 slices
 *
 * A block takes 2n - 1 stages. In stage k rank r works on chunk (r - 1 - k) mod n: it receives it
 *from its predecessor (k > 0), adds its own share (k < n) and hands it to its successor (k < 2n -
 *2):
 *
 *	stage 0              send own
 *	stages 1 to n - 2    receive, reduce, send
 *	stage n - 1          receive, reduce: the result, keep and send
 *	stages n to 2n - 3   receive a result, keep and send
 *	stage 2n - 2         receive a result, keep
 *
 * A message is one slice. Where a chunk is shorter than the others its slices get short or empty,
 *and empty ones are sent all the same: both sides count alike.
 */
#ifndef WEFT_ALL_REDUCE_RING_PLAN_H
#define WEFT_ALL_REDUCE_RING_PLAN_H

#include <stdbool.h>
#include <stddef.h>

enum { RING_SLOTS = 8 }; /* slices of a chunk, and messages in flight each way */

/* All sizes are in elements. */
struct ring_plan {
	int nranks;
	size_t count;     /* of this channel */
	size_t offset;    /* of this channel's data in the buffer */
	size_t align;     /* chunks and slices are multiples of this, but for the last one */
	size_t min_slice; /* smaller ones are not worth a message */
	size_t slot;      /* largest slice */
};

/* A place in the plan: one slice of one stage of one block. */
struct ring_cursor {
	size_t block_first, block_count, chunk, slice;
	int slices;
	int stage, i;
	bool end;
};

/*
 * Plans `count` elements of elem_bytes each for channel `channel` of `channels`; slot_bytes is a
 * multiple of 16 and of elem_bytes. Small operations leave channels without work (count 0).
 */
void ring_plan_make(struct ring_plan *p, int nranks, size_t count, size_t elem_bytes,
		    size_t slot_bytes, int channels, int channel);

void ring_cursor_init(const struct ring_plan *p, struct ring_cursor *c);
void ring_cursor_next(const struct ring_plan *p, struct ring_cursor *c);

/* Where in the buffer rank `rank` works at this place, and on how many elements: 0 is possible. */
size_t ring_cursor_range(const struct ring_plan *p, const struct ring_cursor *c, int rank,
			 size_t *out_offset);

/* Messages that each rank receives, and sends, on this channel. */
size_t ring_plan_messages(const struct ring_plan *p);

#endif
