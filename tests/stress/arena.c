/* SPDX-License-Identifier: Apache-2.0 */
/* The memory of one comm, used as a ring: space is taken and given back in the same order. */
#include "stress.h"

enum { PER_MESSAGE = 8192 /* slack, guard and alignment */ };

size_t arena_op_bytes(void)
{
	size_t largest = (size_t)settings.largest, group = GROUP_MAX * (largest < MEG ? largest : (size_t)MEG);

	return (largest > group ? largest : group) + GROUP_MAX * PER_MESSAGE;
}

void arena_open(struct arena *a)
{
	if (!a->memory.data && guarded_open(&a->memory, arena_op_bytes() + arena_op_bytes() / 2, 0))
		fail("out of memory");
	a->from = a->to = 0;
}

bool arena_take(struct arena *a, size_t bytes, unsigned char **out, uint64_t *out_end)
{
	size_t all = a->memory.bytes, skip = 0, at;

	if (a->from == a->to)
		a->from = a->to = 0;
	at = a->to % all;
	if (at + bytes > all)
		skip = all - at;
	if (a->to + skip + bytes - a->from > all)
		return false;
	*out = (unsigned char *)a->memory.data + (a->to + skip) % all;
	*out_end = a->to += skip + bytes;
	return true;
}

void arena_give(struct arena *a, uint64_t end)
{
	a->from = end;
}

uint64_t arena_hash(const struct arena *a)
{
	const uint64_t *words = a->memory.data;
	uint64_t h = 1;
	size_t i;

	for (i = 0; i < a->memory.bytes / sizeof(*words); i++)
		h = (h ^ words[i]) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
	return h;
}
