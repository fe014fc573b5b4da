/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of all ranks of a ring, executed in memory, give the right result. */
#include "unit/unit.h"

#include <stdlib.h>
#include <string.h>

#include "all_reduce/ring_plan.h"

enum { MAX_RANKS = 5, MAX_COUNT = 400000, MAX_CHANNELS = 4, ELEM_BYTES = 4 };

/* Messages in flight from a rank to its successor, in order. */
struct wire {
	uint32_t *data[64];
	size_t count[64];
	int first, n;
};

/* The part of one rank in one channel. */
struct player {
	struct ring_plan plan;
	struct ring_cursor cursor;
	size_t received;
};

static uint32_t in[MAX_RANKS][MAX_COUNT], out[MAX_RANKS][MAX_COUNT];

static void push(struct wire *w, const uint32_t *data, size_t count)
{
	int at = (w->first + w->n++) % 64;

	assert_true(w->n <= 64);
	w->data[at] = malloc(count * sizeof(*data) + 1);
	w->count[at] = count;
	memcpy(w->data[at], data, count * sizeof(*data));
}

static uint32_t *pop(struct wire *w, size_t *out_count)
{
	int at = w->first;

	w->first = (w->first + 1) % 64;
	w->n--;
	*out_count = w->count[at];
	return w->data[at];
}

/* Takes one step if its message has arrived and a slot for sending is free. */
static bool play(struct player *p, struct wire *from, struct wire *to)
{
	const struct ring_cursor *c = &p->cursor;
	unsigned int does = ring_cursor_actions(&p->plan, c);
	int rank = p->plan.task.rank;
	struct ring_range range;
	uint32_t *msg = NULL;
	const uint32_t *data;
	size_t got;

	if (c->end || (does & RING_RECV && !from->n) || (does & RING_SEND && to->n == 2 * RING_SLOTS))
		return false;
	range = ring_cursor_range(&p->plan, c);
	assert_true(range.count <= p->plan.slot);
	assert_true(range.in + range.count <= MAX_COUNT && range.out + range.count <= MAX_COUNT);
	data = &in[rank][range.in];
	if (does & RING_RECV) {
		data = msg = pop(from, &got);
		assert_int_equal(got, range.count); /* both sides use the same slices */
		p->received++;
	}
	for (size_t i = 0; does & RING_REDUCE && i < range.count; i++)
		msg[i] += in[rank][range.in + i];
	if (does & RING_KEEP)
		memcpy(&out[rank][range.out], data, range.count * sizeof(*data));
	if (does & RING_SEND)
		push(to, data, range.count);
	free(msg);
	ring_cursor_next(&p->plan, &p->cursor);
	return true;
}

/* An exchange has two players for each rank: one for each half. */
static void play_channel(struct ring_task task, size_t slot_bytes, int channels, int channel)
{
	struct player players[2 * MAX_RANKS];
	struct wire wires[MAX_RANKS] = {0};
	int n = task.nranks, count = collective_facts[task.what].exchanges ? 2 * n : n;
	bool moved = true;

	for (int p = 0; p < count; p++) {
		task.rank = p % n;
		task.half = count == n ? RING_WHOLE : p < n ? RING_SENDER : RING_RECEIVER;
		ring_plan_make(&players[p].plan, &task, slot_bytes, channels, channel);
		ring_cursor_init(&players[p].plan, &players[p].cursor);
		players[p].received = 0;
	}
	while (moved) {
		moved = false;
		for (int p = 0; p < count; p++)
			moved |= play(&players[p], &wires[(p + n - 1) % n], &wires[p % n]);
	}
	for (int p = 0; p < count; p++) {
		assert_true(players[p].cursor.end);
		assert_int_equal(wires[p % n].n, 0);
		assert_int_equal(players[p].received, ring_plan_messages(&players[p].plan));
	}
}

/* The expected result of rank r at index i. */
static uint32_t expected(const struct ring_task *t, int r, size_t i)
{
	size_t at = t->what == REDUCE_SCATTER ? (size_t)r * t->count + i : i;
	uint32_t sum = 0;

	if (t->what == ALL_GATHER)
		return in[i / t->count][i % t->count];
	if (t->what == BROADCAST)
		return in[t->root][i];
	if (t->what == REDUCE && r != t->root)
		return 0; /* untouched */
	if (!collective_facts[t->what].reduces)
		return in[(r + t->nranks - 1) % t->nranks][i];
	for (int from = 0; from < t->nranks; from++)
		sum += in[from][at];
	return sum;
}

static void check(struct ring_task task, size_t slot_bytes, int channels)
{
	int n = task.nranks;
	size_t results = task.count * (task.what == ALL_GATHER ? (size_t)n : 1);

	memset(out, 0, sizeof(out));
	for (int c = 0; c < channels; c++)
		play_channel(task, slot_bytes, channels, c);
	for (int r = 0; r < n; r++)
		for (size_t i = 0; i < results; i++)
			if (out[r][i] != expected(&task, r, i))
				fail_msg("%s, root %d, %d ranks, %zu elements, slots of %zu, %d channels: "
					 "element %zu of rank %d",
					 collective_facts[task.what].what, task.root, n, task.count, slot_bytes,
					 channels, i, r);
}

static void play_collective(enum collective what)
{
	static const size_t counts[] = {0, 1, 2, 3, 4, 5, 17, 1000, 4096, 65537, MAX_COUNT};
	static const size_t slots[] = {16, 1024, 65536};
	uint64_t seed = 3;

	for (int r = 0; r < MAX_RANKS; r++)
		for (size_t i = 0; i < MAX_COUNT; i++)
			in[r][i] = unit_random(&seed);
	for (int n = 2; n <= MAX_RANKS; n++)
		for (size_t i = 0; i < COUNT(counts); i++)
			for (size_t s = counts[i] > 5000 ? 1 : 0; s < COUNT(slots); s++)
				for (int channels = 1; channels <= MAX_CHANNELS; channels += 3) {
					size_t shares = collective_facts[what].per_rank ? (size_t)n : 1;
					struct ring_task task = {what,
								 n,
								 0,
								 collective_facts[what].rooted ? n / 2 : 0,
								 counts[i] / shares,
								 ELEM_BYTES,
								 RING_WHOLE,
								 0};

					check(task, slots[s], channels);
				}
}

static void plays_an_all_reduce(void **state)
{
	(void)state;
	play_collective(ALL_REDUCE);
}

static void plays_a_reduce_scatter_and_an_all_gather(void **state)
{
	(void)state;
	play_collective(REDUCE_SCATTER);
	play_collective(ALL_GATHER);
}

static void plays_a_broadcast_and_a_reduce(void **state)
{
	(void)state;
	play_collective(BROADCAST);
	play_collective(REDUCE);
}

static void plays_an_exchange(void **state)
{
	(void)state;
	play_collective(SEND_RECV);
}

/* A part that begins inside the buffers, as those of a gather or an all-to-all do. */
static void a_half_begins_where_its_part_does(void **state)
{
	const struct ring_task task = {GATHER, 3, 1, 0, 1000, 4, RING_RECEIVER, 2000};
	struct ring_plan p;
	struct ring_cursor c;
	size_t next = 2000;

	(void)state;
	ring_plan_make(&p, &task, 1024, 1, 0);
	for (ring_cursor_init(&p, &c); !c.end; ring_cursor_next(&p, &c)) {
		struct ring_range range = ring_cursor_range(&p, &c);

		assert_int_equal(ring_cursor_actions(&p, &c), RING_RECV | RING_KEEP);
		assert_int_equal(range.out, next);
		next += range.count;
	}
	assert_int_equal(next, 3000);
}

static void large_operations_fill_the_pipe(void **state)
{
	struct ring_plan p;
	struct ring_cursor c;

	(void)state;
	ring_plan_make(&p, &(struct ring_task){ALL_REDUCE, 4, 0, 0, 64 << 20, 4, RING_WHOLE, 0}, 512 << 10, 2, 1);
	ring_cursor_init(&p, &c);
	assert_int_equal(p.offset, 32 << 20);
	assert_int_equal(p.count, 32 << 20);
	assert_int_equal(c.slices, RING_SLOTS);
	assert_int_equal(c.slice * 4, 512 << 10);
}

static void small_operations_use_one_channel_and_one_message(void **state)
{
	const struct ring_task small = {ALL_REDUCE, 2, 0, 0, 1000, 4, RING_WHOLE, 0};
	struct ring_plan p;
	struct ring_cursor c;

	(void)state;
	ring_plan_make(&p, &small, 512 << 10, 2, 0);
	ring_cursor_init(&p, &c);
	assert_int_equal(p.count, 1000);
	assert_int_equal(c.slices, 1);
	assert_int_equal(ring_plan_messages(&p), 2);
	ring_plan_make(&p, &small, 512 << 10, 2, 1);
	assert_int_equal(p.count, 0);
	assert_int_equal(ring_plan_messages(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plays_an_all_reduce),
		cmocka_unit_test(plays_a_reduce_scatter_and_an_all_gather),
		cmocka_unit_test(plays_a_broadcast_and_a_reduce),
		cmocka_unit_test(plays_an_exchange),
		cmocka_unit_test(a_half_begins_where_its_part_does),
		cmocka_unit_test(large_operations_fill_the_pipe),
		cmocka_unit_test(small_operations_use_one_channel_and_one_message),
	};

	return unit_run("bench/plan", tests);
}
