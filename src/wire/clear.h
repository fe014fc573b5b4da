/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clear-to-send of the RMA wire, and the immediate data that a message carries.
 *
 * Each send channel has a ring of WIRE_WINDOW entries in registered memory. The receiver writes entry
 * number `seq` at place seq % WIRE_WINDOW by RMA; the sender only ever reads it there.
 *
 * A remote write is not atomic: an entry counts when its stamp is that of the number the sender waits for and
 * the sum over all of it is right.
 *
 *	immediate, low 32 bits:  receiver's channel slot (20) | number mod 64 (6) | stripes - 1 (3) | stripe (3)
 *	high 32 bits, where the provider carries 8 bytes:  bytes of the whole message
 *
 * Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_CLEAR_H
#define WEFT_WIRE_CLEAR_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/ctrl.h"

#define WIRE_NUMBER_BITS 6 /* twice WIRE_WINDOW: a number of the window before is told apart */

struct wire_clear {
	uint32_t tag;  /* of the message that may come */
	uint32_t to;   /* the sender's channel, with its generation */
	uint64_t addr; /* where to write */
	uint64_t len;  /* bytes that may be written */
	union wire_keys keys;
	uint32_t sum;
	uint32_t stamp; /* of its number */
};

_Static_assert(sizeof(struct wire_clear) == 64, "a clear-to-send fills a cache line");
_Static_assert(1 << WIRE_NUMBER_BITS >= 2 * WIRE_WINDOW, "numbers of two windows differ");

#define WIRE_RING_BYTES (WIRE_WINDOW * sizeof(struct wire_clear))

/* Fills the ring so that no entry is valid for any number of the first window. */
void wire_ring_init(struct wire_clear ring[WIRE_WINDOW]);

/* Sets stamp and sum of an entry that is otherwise complete. */
void wire_clear_seal(struct wire_clear *c, uint32_t seq);

/* Copies the entry of message `seq` to channel `to` when it has arrived whole. */
bool wire_clear_take(const struct wire_clear ring[WIRE_WINDOW], uint32_t to, uint32_t seq,
		     struct wire_clear *out);

static inline uint64_t wire_imm(uint32_t slot, uint32_t seq, unsigned stripe, unsigned stripes,
				uint64_t len)
{
	return len << 32 | (uint64_t)slot << 12 | (seq & ((1u << WIRE_NUMBER_BITS) - 1)) << 6 |
	       (stripes - 1) << 3 | stripe;
}

static inline uint32_t wire_imm_slot(uint64_t imm)
{
	return (uint32_t)imm >> 12;
}

/* Is the immediate's number that of message seq? */
static inline bool wire_imm_is(uint64_t imm, uint32_t seq)
{
	return (((uint32_t)imm >> 6) ^ seq) % (1u << WIRE_NUMBER_BITS) == 0;
}

/* The place in the window. */
static inline unsigned wire_imm_place(uint64_t imm)
{
	return (unsigned)((uint32_t)imm >> 6) % WIRE_WINDOW;
}

/* A message may come in stripes, numbered from 0. */
static inline unsigned wire_imm_stripes(uint64_t imm)
{
	return ((unsigned)imm >> 3 & 7) + 1;
}

static inline unsigned wire_imm_stripe(uint64_t imm)
{
	return (unsigned)imm & 7;
}

static inline uint32_t wire_imm_len(uint64_t imm)
{
	return (uint32_t)(imm >> 32);
}

#endif
