/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_plan.h"

enum { ALIGN_BYTES = 16, MIN_SLICE_BYTES = 16 << 10 };

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static size_t max_size(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t div_up(size_t a, size_t b)
{
	return (a + b - 1) / b;
}

void ring_plan_make(struct ring_plan *p, int nranks, size_t count, size_t elem_bytes,
		    size_t slot_bytes, int channels, int channel)
{
	size_t n = (size_t)nranks;
	/* A channel is worth having if its chunks fill a message. */
	size_t useful = count * elem_bytes / (n * MIN_SLICE_BYTES);
	size_t used = max_size(1, min_size(useful, (size_t)channels));
	size_t share;

	p->nranks = nranks;
	p->align = max_size(1, ALIGN_BYTES / elem_bytes);
	p->slot = slot_bytes / elem_bytes;
	p->min_slice = min_size(MIN_SLICE_BYTES / elem_bytes, p->slot);
	share = div_up(div_up(count, used), p->align) * p->align;
	p->offset = min_size(share * (size_t)channel, count);
	p->count = min_size(share, count - p->offset);
}

static void enter_block(const struct ring_plan *p, struct ring_cursor *c, size_t first)
{
	size_t n = (size_t)p->nranks;

	c->block_first = first;
	c->block_count = min_size(p->count - first, n * RING_SLOTS * p->slot);
	c->chunk = div_up(div_up(c->block_count, n), p->align) * p->align;
	c->slice = div_up(div_up(c->chunk, RING_SLOTS), p->align) * p->align;
	c->slice = min_size(max_size(c->slice, p->min_slice), p->slot);
	c->slices = (int)div_up(c->chunk, c->slice);
	c->stage = 0;
	c->i = 0;
	c->end = first >= p->count;
}

void ring_cursor_init(const struct ring_plan *p, struct ring_cursor *c)
{
	enter_block(p, c, 0);
}

void ring_cursor_next(const struct ring_plan *p, struct ring_cursor *c)
{
	if (++c->i < c->slices)
		return;
	c->i = 0;
	if (++c->stage < 2 * p->nranks - 1)
		return;
	enter_block(p, c, c->block_first + c->block_count);
}

size_t ring_cursor_range(const struct ring_plan *p, const struct ring_cursor *c, int rank,
			 size_t *out_offset)
{
	/* 2n keeps the sum positive. */
	size_t chunk = (size_t)((rank - 1 - c->stage + 2 * p->nranks) % p->nranks);
	size_t chunk_first = min_size(chunk * c->chunk, c->block_count);
	size_t chunk_end = min_size(chunk_first + c->chunk, c->block_count);
	size_t first = min_size(chunk_first + (size_t)c->i * c->slice, chunk_end);

	*out_offset = p->offset + c->block_first + first;
	return min_size(c->slice, chunk_end - first);
}

size_t ring_plan_messages(const struct ring_plan *p)
{
	struct ring_cursor c;
	size_t messages = 0;

	for (enter_block(p, &c, 0); !c.end; enter_block(p, &c, c.block_first + c.block_count))
		messages += (size_t)c.slices * 2 * (size_t)(p->nranks - 1);
	return messages;
}
