/* SPDX-License-Identifier: Apache-2.0 */
/* Clear-to-send entries; see cts.h. */
#include "wire/cts.h"

#include <string.h>

/* Stamp of a sequence number, different for each number. */
static uint32_t stamp(uint32_t seq)
{
	return ~seq;
}

/* Checksum over the entry except the sum itself. */
static uint32_t sum(const struct wire_cts *c)
{
	uint64_t words[offsetof(struct wire_cts, sum) / 8], s = 0x9e3779b97f4a7c15ull ^ c->stamp;
	unsigned i;

	memcpy(words, c, sizeof(words));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		s = (s ^ words[i]) * 0xff51afd7ed558ccdull;
	return (uint32_t)(s >> 32);
}

void wire_cts_ring_init(struct wire_cts ring[WIRE_WINDOW])
{
	uint32_t i;

	memset(ring, 0, WIRE_RING_BYTES);
	for (i = 0; i < WIRE_WINDOW; i++) /* stamp of a number that belongs to another entry */
		ring[i].stamp = stamp(i + 1);
}

void wire_cts_seal(struct wire_cts *c, uint32_t seq)
{
	c->stamp = stamp(seq);
	c->sum = sum(c);
}

/*
 * The network writes the ring at any time, like a device, so the copy may mix old and new bytes; the caller checks
 * stamp and sum of the copy. ThreadSanitizer can't know that.
 */
__attribute__((no_sanitize("thread"))) static void read_entry(const struct wire_cts *c, struct wire_cts *out)
{
	const volatile uint64_t *from = (const volatile uint64_t *)(const void *)c;
	uint64_t words[sizeof(*c) / 8];
	unsigned i;

	for (i = 0; i < sizeof(*c) / 8; i++)
		words[i] = from[i];
	memcpy(out, words, sizeof(*out));
}

__attribute__((no_sanitize("thread"))) static uint32_t read_stamp(const struct wire_cts *c)
{
	return __atomic_load_n(&c->stamp, __ATOMIC_ACQUIRE);
}

bool wire_cts_take(const struct wire_cts ring[WIRE_WINDOW], uint32_t to, uint32_t seq, struct wire_cts *out)
{
	const struct wire_cts *c = &ring[seq % WIRE_WINDOW];

	if (read_stamp(c) != stamp(seq))
		return false;
	read_entry(c, out);
	return out->stamp == stamp(seq) && out->to == to && out->sum == sum(out);
}
