/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notes: progress reports that the two halves of a comm exchange during a long wait. They travel over the lifeline,
 * since the network may have lost a message; comm/status.c evaluates them. Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_NOTE_H
#define WEFT_WIRE_NOTE_H

#include <stdbool.h>
#include <stdint.h>

#define WIRE_NOTE_MAGIC 0x6e57 /* "Wn" */

enum wire_note_type { WIRE_NOTE_ASK = 1, WIRE_NOTE_ANSWER = 2 };

#define WIRE_NOTE_NO_COMM 1 /* the comm does not exist (any more), or its endpoint is shut: it writes no more */
#define WIRE_NOTE_BUSY	  2 /* this half has operations in flight */
#define WIRE_NOTE_WANTS	  4 /* send comm: the application waits for the clear-to-send (or credit) of next_seq */

struct wire_note {
	uint16_t magic;
	uint8_t type;		/* enum wire_note_type */
	uint8_t flags;		/* WIRE_NOTE_ flags */
	uint32_t to_ep, to;	/* endpoint and comm of the addressee */
	uint32_t from_ep, from; /* endpoint and comm of the author */
	uint32_t next_seq;	/* number of the next message or receive to be posted */
	uint32_t polls;		/* total polls of that endpoint by the author's application */
	int32_t err;		/* error that failed the author's half: positive errno, or 0 */
};

_Static_assert(sizeof(struct wire_note) == 32, "a note has no padding");

/* A note between two halves; the rest is zero. */
static inline struct wire_note wire_note_make(enum wire_note_type type, uint32_t to_ep, uint32_t to, uint32_t from_ep,
					      uint32_t from)
{
	return (struct wire_note){.magic = WIRE_NOTE_MAGIC,
				  .type = (uint8_t)type,
				  .to_ep = to_ep,
				  .to = to,
				  .from_ep = from_ep,
				  .from = from};
}

static inline bool wire_note_is_sane(const struct wire_note *n)
{
	return n->magic == WIRE_NOTE_MAGIC && (n->type == WIRE_NOTE_ASK || n->type == WIRE_NOTE_ANSWER);
}

#endif
