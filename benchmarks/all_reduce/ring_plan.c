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

/* No data returns to where it was. */
static bool is_one_stage(const struct ring_task *t)
{
	return t->what == BROADCAST || t->what == REDUCE || t->half;
}

/* The number of chunks in a block. */
static size_t chunks_of(const struct ring_task *t)
{
	return t->what == ALL_REDUCE ? (size_t)t->nranks : 1;
}

void ring_plan_make(struct ring_plan *p, const struct ring_task *task, size_t slot_bytes, int channels, int channel)
{
	/* The number of channels that have work: a channel is used if its chunks fill a message. */
	size_t useful = task->count * task->elem_bytes / (chunks_of(task) * MIN_SLICE_BYTES);
	size_t used = max_size(1, min_size(useful, (size_t)channels));
	size_t share;

	p->task = *task;
	p->align = max_size(1, ALIGN_BYTES / task->elem_bytes);
	p->slot = slot_bytes / task->elem_bytes;
	p->min_slice = min_size(MIN_SLICE_BYTES / task->elem_bytes, p->slot);
	share = div_up(div_up(task->count, used), p->align) * p->align;
	p->offset = min_size(share * (size_t)channel, task->count);
	p->count = min_size(share, task->count - p->offset);
}

static size_t block_limit(const struct ring_plan *p)
{
	if (is_one_stage(&p->task))
		return p->count;
	return chunks_of(&p->task) * RING_SLOTS * p->slot;
}

static void enter_block(const struct ring_plan *p, struct ring_cursor *c, size_t first)
{
	c->block_first = first;
	c->block_count = min_size(p->count - first, block_limit(p));
	c->chunk = div_up(div_up(c->block_count, chunks_of(&p->task)), p->align) * p->align;
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

static int stages(const struct ring_task *t)
{
	if (is_one_stage(t))
		return 1;
	return t->what == ALL_REDUCE ? 2 * t->nranks - 1 : t->nranks;
}

void ring_cursor_next(const struct ring_plan *p, struct ring_cursor *c)
{
	if (++c->i < c->slices)
		return;
	c->i = 0;
	if (++c->stage < stages(&p->task))
		return;
	enter_block(p, c, c->block_first + c->block_count);
}

/* The distance of this rank from the root along the ring. */
static int behind_root(const struct ring_task *t)
{
	return (t->rank - t->root + t->nranks) % t->nranks;
}

/* The corresponding stage of an all-reduce. */
static int as_all_reduce(const struct ring_task *t, int stage)
{
	return t->what == ALL_GATHER ? stage + t->nranks - 1 : stage;
}

/* The only stage of a broadcast, which begins at the root, or of a reduce, which ends there. */
static unsigned int rooted_actions(const struct ring_task *t)
{
	int at = t->what == BROADCAST ? behind_root(t) : (behind_root(t) - 1 + t->nranks) % t->nranks;
	bool last = at == t->nranks - 1;

	if (t->what == BROADCAST)
		return (at ? RING_RECV : 0u) | (last ? 0u : RING_SEND) | RING_KEEP;
	return (at ? RING_RECV | RING_REDUCE : 0u) | (last ? RING_FINISH | RING_KEEP : RING_SEND);
}

unsigned int ring_cursor_actions(const struct ring_plan *p, const struct ring_cursor *c)
{
	const struct ring_task *t = &p->task;
	int n = t->nranks, k = as_all_reduce(t, c->stage);

	if (t->half)
		return t->half == RING_SENDER ? RING_SEND : RING_RECV | RING_KEEP;
	if (is_one_stage(t))
		return rooted_actions(t);
	return (c->stage == 0 ? 0u : RING_RECV) | (c->stage == stages(t) - 1 ? 0u : RING_SEND) |
	       (collective_facts[t->what].reduces && k > 0 && k < n ? RING_REDUCE : 0u) |
	       (collective_facts[t->what].reduces && k == n - 1 ? RING_FINISH : 0u) | (k >= n - 1 ? RING_KEEP : 0u);
}

struct ring_range ring_cursor_range(const struct ring_plan *p, const struct ring_cursor *c)
{
	const struct ring_task *t = &p->task;
	int n = t->nranks;
	/* Adding 2n keeps the sum positive. */
	size_t chunk = (size_t)((t->rank - 1 - as_all_reduce(t, c->stage) + 2 * n) % n);
	size_t chunk_first = t->what == ALL_REDUCE ? min_size(chunk * c->chunk, c->block_count) : 0;
	size_t chunk_end = min_size(chunk_first + c->chunk, c->block_count);
	size_t first = min_size(chunk_first + (size_t)c->i * c->slice, chunk_end);
	size_t at = t->first + p->offset + c->block_first + first;

	return (struct ring_range){
		.count = min_size(c->slice, chunk_end - first),
		.in = at + (t->what == REDUCE_SCATTER ? chunk * t->count : 0),
		.out = at + (t->what == ALL_GATHER ? chunk * t->count : 0),
	};
}

/* The number of stages of a block in which this rank receives. */
static size_t receiving_stages(const struct ring_task *t)
{
	if (t->half)
		return t->half == RING_RECEIVER;
	if (is_one_stage(t))
		return rooted_actions(t) & RING_RECV ? 1 : 0;
	return (size_t)stages(t) - 1;
}

size_t ring_plan_messages(const struct ring_plan *p)
{
	struct ring_cursor c;
	size_t messages = 0;

	for (enter_block(p, &c, 0); !c.end; enter_block(p, &c, c.block_first + c.block_count))
		messages += (size_t)c.slices * receiving_stages(&p->task);
	return messages;
}
