/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an operation cuts its data into messages: pure arithmetic, the same on every rank.
 *
 *	operation = channels x blocks;  block = stages of one chunk;  chunk = slices
 *
 * On rings an all-reduce's block is nranks chunks, and takes 2n - 1 stages. In stage k rank r works on chunk
 * (r - 1 - k) mod n: it receives it from its predecessor (k > 0), adds its own share (k < n) and hands it to its
 * successor (k < 2n - 2):
 *
 *	stage 0              send own
 *	stages 1 to n - 2    receive, reduce, send
 *	stage n - 1          receive, reduce: the result, keep and send
 *	stages n to 2n - 3   receive a result, keep and send
 *	stage 2n - 2         receive a result, keep
 *
 * A reduce-scatter is its stages 0 to n - 1, the last one without the sending, over a block of each rank's share;
 * an all-gather is stages n - 1 to 2n - 2, the first one without the receiving. A broadcast is one stage: each rank
 * hands on what it gets, from the root to the root's predecessor. An exchange (send and receive, and each distance
 * of an all-to-all) is a stage that sends and one that receives; the sends lead by RING_SLOTS slices.
 *
 * A message is one slice. Where a chunk is shorter than the others its slices get short or empty, and empty ones
 * are sent all the same: both sides count alike.
 */
#ifndef WEFT_ALL_REDUCE_RING_PLAN_H
#define WEFT_ALL_REDUCE_RING_PLAN_H

#include "collective.h"

#include <stdbool.h>
#include <stddef.h>

enum { RING_SLOTS = 8 }; /* slices of a chunk, and messages in flight each way */

/* What is done with a slice: the bits of a stage. */
enum ring_action {
	RING_RECV = 1,
	RING_SEND = 2,
	RING_REDUCE = 4,
	RING_FINISH = 8, /* all contributions are in */
	RING_KEEP = 16,  /* it belongs into the output */
};

/* Who plans what. `count` as the collective's argument. */
struct ring_task {
	enum collective what;
	int nranks, rank, root;
	size_t count, elem_bytes;
};

/* All sizes are in elements. */
struct ring_plan {
	struct ring_task task;
	size_t count;     /* of this channel: of the buffer, or of each rank's share of it */
	size_t offset;    /* of this channel's data in the buffer, or share */
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

/* A slice, as elements in the rank's input and output: 0 of them is possible. */
struct ring_range {
	size_t count, in, out;
};

/*
 * Plans a task for channel `channel` of `channels`; slot_bytes is a multiple of 16. Small operations leave channels
 * without work (count 0).
 */
void ring_plan_make(struct ring_plan *p, const struct ring_task *task, size_t slot_bytes, int channels,
		    int channel);

void ring_cursor_init(const struct ring_plan *p, struct ring_cursor *c);
void ring_cursor_next(const struct ring_plan *p, struct ring_cursor *c);

/* What to do at this place: a set of enum ring_action. */
unsigned int ring_cursor_actions(const struct ring_plan *p, const struct ring_cursor *c);

/* On what. An exchange's ranges begin with the peers' shares. */
struct ring_range ring_cursor_range(const struct ring_plan *p, const struct ring_cursor *c);

/* Messages that this rank receives on this channel. */
size_t ring_plan_messages(const struct ring_plan *p);

#endif
