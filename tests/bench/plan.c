/* SPDX-License-Identifier: Apache-2.0 */
/* How a ring cuts its data: every rank's plan is played in memory, and the result is what it should be.
 */
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

/* One rank's part of one channel. */
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

/* Takes one step if what it needs has arrived and a slot is free, on either side of the wire. */
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
		assert_int_equal(got, range.count); /* both sides cut alike */
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

static void play_channel(struct ring_task task, size_t slot_bytes, int channels, int channel)
{
	struct player players[MAX_RANKS];
	struct wire wires[MAX_RANKS] = {0};
	int n = task.nranks;
	bool moved = true;

	for (int r = 0; r < n; r++) {
		task.rank = r;
		ring_plan_make(&players[r].plan, &task, slot_bytes, channels, channel);
		ring_cursor_init(&players[r].plan, &players[r].cursor);
		players[r].received = 0;
	}
	while (moved) {
		moved = false;
		for (int r = 0; r < n; r++)
			moved |= play(&players[r], &wires[(r + n - 1) % n], &wires[r]);
	}
	for (int r = 0; r < n; r++) {
		assert_true(players[r].cursor.end);
		assert_int_equal(wires[r].n, 0);
		assert_int_equal(players[r].received, ring_plan_messages(&players[r].plan));
	}
}

/* What rank r should find at index i. */
static uint32_t expected(const struct ring_task *t, int r, size_t i)
{
	size_t at = t->what == REDUCE_SCATTER ? (size_t)r * t->count + i : i;
	uint32_t sum = 0;

	if (t->what == ALL_GATHER)
		return in[i / t->count][i % t->count];
	if (t->what == BROADCAST)
		return in[t->root][i];
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
					 collective_facts[task.what].what, task.root, n, task.count,
					 slot_bytes, channels, i, r);
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
					struct ring_task task = {what,  n, 0, what == BROADCAST ? n / 2 : 0,
								 counts[i] / shares, ELEM_BYTES};

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

static void plays_a_broadcast_and_an_exchange(void **state)
{
	(void)state;
	play_collective(BROADCAST);
	play_collective(SEND_RECV);
}

static void large_operations_fill_the_pipe(void **state)
{
	struct ring_plan p;
	struct ring_cursor c;

	(void)state;
	ring_plan_make(&p, &(struct ring_task){ALL_REDUCE, 4, 0, 0, 64 << 20, 4}, 512 << 10, 2, 1);
	ring_cursor_init(&p, &c);
	assert_int_equal(p.offset, 32 << 20);
	assert_int_equal(p.count, 32 << 20);
	assert_int_equal(c.slices, RING_SLOTS);
	assert_int_equal(c.slice * 4, 512 << 10);
}

static void small_operations_use_one_channel_and_one_message(void **state)
{
	const struct ring_task small = {ALL_REDUCE, 2, 0, 0, 1000, 4};
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
		cmocka_unit_test(plays_a_broadcast_and_an_exchange),
		cmocka_unit_test(large_operations_fill_the_pipe),
		cmocka_unit_test(small_operations_use_one_channel_and_one_message),
	};

	return unit_run("bench/plan", tests);
}
