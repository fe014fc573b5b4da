/* SPDX-License-Identifier: Apache-2.0 */
/* Clear-to-send entries; see clear.h. */
#include "wire/clear.h"

#include <string.h>

/* Never 0 for the numbers a fresh ring waits for, and different for neighbours. */
static uint32_t stamp(uint32_t seq)
{
	return ~seq;
}

/* Over everything but the sum itself. */
static uint32_t sum(const struct wire_clear *c)
{
	uint64_t words[offsetof(struct wire_clear, sum) / 8], s = 0x9e3779b97f4a7c15ull ^ c->stamp;
	unsigned i;

	memcpy(words, c, sizeof(words));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		s = (s ^ words[i]) * 0xff51afd7ed558ccdull;
	return (uint32_t)(s >> 32);
}

void wire_ring_init(struct wire_clear ring[WIRE_WINDOW])
{
	uint32_t i;

	memset(ring, 0, WIRE_RING_BYTES);
	for (i = 0; i < WIRE_WINDOW;
	     i++) /* the stamp of a number that never stands in this place */
		ring[i].stamp = stamp(i + 1);
}

void wire_clear_seal(struct wire_clear *c, uint32_t seq)
{
	c->stamp = stamp(seq);
	c->sum = sum(c);
}

/*
 * The network writes the ring at any time, as a device would; whatever mixture is read here must
 * prove itself whole afterwards. ThreadSanitizer can't know that.
 */
__attribute__((no_sanitize("thread"))) static void read_entry(const struct wire_clear *c,
							      struct wire_clear *out)
{
	const volatile uint64_t *from = (const volatile uint64_t *)(const void *)c;
	uint64_t words[sizeof(*c) / 8];
	unsigned i;

	for (i = 0; i < sizeof(*c) / 8; i++)
		words[i] = from[i];
	memcpy(out, words, sizeof(*out));
}

__attribute__((no_sanitize("thread"))) static uint32_t read_stamp(const struct wire_clear *c)
{
	return __atomic_load_n(&c->stamp, __ATOMIC_ACQUIRE);
}

bool wire_clear_take(const struct wire_clear ring[WIRE_WINDOW], uint32_t to, uint32_t seq,
		     struct wire_clear *out)
{
	const struct wire_clear *c = &ring[seq % WIRE_WINDOW];

	if (read_stamp(c) != stamp(seq))
		return false;
	read_entry(c, out);
	return out->stamp == stamp(seq) && out->to == to && out->sum == sum(out);
}
