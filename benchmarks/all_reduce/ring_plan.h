/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The plan by which an operation divides its data into messages: pure arithmetic, the same on every rank.
 *
 *	operation = channels x blocks;  block = stages of one chunk;  chunk = slices
 *
 * On rings, a block of an all-reduce has n = nranks chunks and takes 2n - 1 stages. In stage k, rank r processes chunk
 * (r - 1 - k) mod n: it receives the chunk from its predecessor (k > 0), adds its own share (k < n) and sends the chunk to
 * its successor (k < 2n - 2):
 *
 *	stage 0              send the own share
 *	stages 1 to n - 2    receive, reduce, send
 *	stage n - 1          receive, reduce (this is the result), keep, send
 *	stages n to 2n - 3   receive a result, keep, send
 *	stage 2n - 2         receive a result, keep
 *
 * A reduce-scatter consists of stages 0 to n - 1 over a block of each rank's share; the last stage does not send. An
 * all-gather consists of stages n - 1 to 2n - 2; the first stage does not receive. A broadcast is one stage: each rank
 * forwards the data, from the root to the root's predecessor. A reduce is one stage, too: from the root's successor to the
 * root, each rank adds its own data. Each half of an exchange (exchange.h), the part that a rank sends and the part that it
 * receives, has a plan of its own, of one stage; the halves advance independently.
 *
 * A message is one slice. A chunk that is shorter than the others has shorter or empty slices. Empty slices are sent, too,
 * so both sides count the same number of messages.
 */
#ifndef WEFT_ALL_REDUCE_RING_PLAN_H
#define WEFT_ALL_REDUCE_RING_PLAN_H

#include "collective.h"

#include <stdbool.h>
#include <stddef.h>

enum { RING_SLOTS = 8 }; /* number of slices of a chunk, and of messages in flight in each direction */

/* Actions on a slice; a stage is a set of these bits. */
enum ring_action {
	RING_RECV = 1,
	RING_SEND = 2,
	RING_REDUCE = 4,
	RING_FINISH = 8, /* all contributions have been reduced */
	RING_KEEP = 16,	 /* the slice is copied to the output */
};

enum ring_half { RING_WHOLE, RING_SENDER, RING_RECEIVER };

/* The task to be planned. */
struct ring_task {
	enum collective what;
	int nranks, rank, root;
	size_t count; /* the argument of the collective; of an exchange: of the part */
	size_t elem_bytes;
	enum ring_half half; /* of an exchange; RING_WHOLE: a collective on a ring */
	size_t first;	     /* of an exchange: the part's first element in the input or in the output */
};

/* All sizes are in elements. */
struct ring_plan {
	struct ring_task task;
	size_t count;	  /* this channel's part of the buffer, or of each rank's share */
	size_t offset;	  /* start of this part in the buffer, or in each share */
	size_t align;	  /* chunks and slices are multiples of this, except for the last one */
	size_t min_slice; /* smallest slice that is worth a message */
	size_t slot;	  /* largest slice */
};

/* A position in the plan: one slice of one stage of one block. */
struct ring_cursor {
	size_t block_first, block_count, chunk, slice;
	int slices;
	int stage, i;
	bool end;
};

/* A slice as a range of the rank's input and output elements; count may be 0. */
struct ring_range {
	size_t count, in, out;
};

/*
 * Plans a task for channel `channel` of `channels`; slot_bytes is a multiple of 16. In small operations some channels have
 * no work (count 0).
 */
void ring_plan_make(struct ring_plan *p, const struct ring_task *task, size_t slot_bytes, int channels, int channel);

void ring_cursor_init(const struct ring_plan *p, struct ring_cursor *c);
void ring_cursor_next(const struct ring_plan *p, struct ring_cursor *c);

/* The actions at this position: a set of enum ring_action. */
unsigned int ring_cursor_actions(const struct ring_plan *p, const struct ring_cursor *c);

/* The elements that the actions apply to. */
struct ring_range ring_cursor_range(const struct ring_plan *p, const struct ring_cursor *c);

/* Number of messages that this rank receives on this channel. */
size_t ring_plan_messages(const struct ring_plan *p);

#endif
