/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clear-to-send entries of the RMA protocol, and the immediate data of its messages.
 *
 * Each send comm has a ring of WIRE_WINDOW entries in registered memory. The receiver writes the entry of `seq` to
 * index seq % WIRE_WINDOW by RMA; the sender only reads the ring.
 *
 * A remote write is not atomic: an entry is valid if its stamp matches the number that the sender expects and its
 * checksum matches.
 *
 *	immediate, low 32 bits:  receiver's comm slot (20) | number mod 64 (6) | stripes - 1 (3) | stripe (3)
 *	high 32 bits, where the provider carries 8 bytes:  bytes of the whole message
 *
 * Layout and checks only; no I/O.
 */
#ifndef WEFT_WIRE_CTS_H
#define WEFT_WIRE_CTS_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/ctrl.h"

#define WIRE_NUMBER_BITS 6 /* covers two windows, so a number of the previous window differs */

struct wire_cts {
	uint32_t tag;  /* tag of the receive */
	uint32_t to;   /* id of the sender's comm, including its generation */
	uint64_t addr; /* remote address of the buffer */
	uint64_t len;  /* bytes of the buffer */
	union wire_keys keys;
	uint32_t sum;	/* checksum of all other fields */
	uint32_t stamp; /* stamp of its sequence number */
};

_Static_assert(sizeof(struct wire_cts) == 64, "a clear-to-send fills a cache line");
_Static_assert(1 << WIRE_NUMBER_BITS >= 2 * WIRE_WINDOW, "numbers of two windows differ");

#define WIRE_RING_BYTES (WIRE_WINDOW * sizeof(struct wire_cts))

/* Initializes the ring so that every entry is invalid until it is written. */
void wire_cts_ring_init(struct wire_cts ring[WIRE_WINDOW]);

/* Sets stamp and sum, after all other fields. */
void wire_cts_seal(struct wire_cts *c, uint32_t seq);

/* Copies the entry of message `seq` to comm `to`. False: not (completely) arrived. */
bool wire_cts_take(const struct wire_cts ring[WIRE_WINDOW], uint32_t to, uint32_t seq, struct wire_cts *out);

static inline uint64_t wire_imm(uint32_t slot, uint32_t seq, unsigned stripe, unsigned stripes, uint64_t len)
{
	return len << 32 | (uint64_t)slot << 12 | (seq & ((1u << WIRE_NUMBER_BITS) - 1)) << 6 | (stripes - 1) << 3 |
	       stripe;
}

static inline uint32_t wire_imm_slot(uint64_t imm)
{
	return (uint32_t)imm >> 12;
}

/* Does the immediate's number match message seq? */
static inline bool wire_imm_is(uint64_t imm, uint32_t seq)
{
	return (((uint32_t)imm >> 6) ^ seq) % (1u << WIRE_NUMBER_BITS) == 0;
}

/* Index of the message in the window. */
static inline unsigned wire_imm_index(uint64_t imm)
{
	return (unsigned)((uint32_t)imm >> 6) % WIRE_WINDOW;
}

/* Number of stripes of the message; wire_imm_stripe is the stripe's index from 0. */
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
