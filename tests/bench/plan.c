/* SPDX-License-Identifier: Apache-2.0 */
/* How a ring cuts its data: every rank's plan is played in memory, and the result is an all-reduce.
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
static bool play(struct player *p, int rank, int n, struct wire *from, struct wire *to)
{
	const struct ring_cursor *c = &p->cursor;
	bool receives = c->stage > 0, sends = c->stage < 2 * n - 2;
	uint32_t *msg = NULL;
	size_t offset, count, got;

	if (c->end || (receives && !from->n) || (sends && to->n == 2 * RING_SLOTS))
		return false;
	count = ring_cursor_range(&p->plan, c, rank, &offset);
	assert_true(count <= p->plan.slot);
	assert_true(offset + count <= p->plan.offset + p->plan.count);
	if (receives) {
		msg = pop(from, &got);
		assert_int_equal(got, count); /* both sides cut alike */
		p->received++;
	}
	for (size_t i = 0; i < count; i++)
		if (c->stage == 0)
			continue;
		else if (c->stage < n)
			msg[i] += in[rank][offset + i];
	if (c->stage >= n - 1)
		memcpy(&out[rank][offset], msg, count * sizeof(*msg));
	if (sends)
		push(to, msg ? msg : &in[rank][offset], count);
	free(msg);
	ring_cursor_next(&p->plan, &p->cursor);
	return true;
}

static void play_channel(int n, size_t count, size_t slot_bytes, int channels, int channel)
{
	struct player players[MAX_RANKS];
	struct wire wires[MAX_RANKS] = {0};
	bool moved = true;

	for (int r = 0; r < n; r++) {
		ring_plan_make(&players[r].plan, n, count, ELEM_BYTES, slot_bytes, channels,
			       channel);
		ring_cursor_init(&players[r].plan, &players[r].cursor);
		players[r].received = 0;
	}
	while (moved) {
		moved = false;
		for (int r = 0; r < n; r++)
			moved |= play(&players[r], r, n, &wires[(r + n - 1) % n], &wires[r]);
	}
	for (int r = 0; r < n; r++) {
		assert_true(players[r].cursor.end);
		assert_int_equal(wires[r].n, 0);
		assert_int_equal(players[r].received, ring_plan_messages(&players[r].plan));
	}
}

static void check(int n, size_t count, size_t slot_bytes, int channels)
{
	memset(out, 0, sizeof(out));
	for (int c = 0; c < channels; c++)
		play_channel(n, count, slot_bytes, channels, c);
	for (size_t i = 0; i < count; i++) {
		uint32_t sum = 0;

		for (int r = 0; r < n; r++)
			sum += in[r][i];
		for (int r = 0; r < n; r++)
			if (out[r][i] != sum)
				fail_msg("%d ranks, %zu elements, slots of %zu, %d channels: "
					 "element "
					 "%zu of rank %d",
					 n, count, slot_bytes, channels, i, r);
	}
}

static void plays_an_all_reduce(void **state)
{
	static const size_t counts[] = {0, 1, 2, 3, 4, 5, 17, 1000, 4096, 65537, MAX_COUNT};
	static const size_t slots[] = {16, 1024, 65536};
	uint64_t seed = 3;

	(void)state;
	for (int r = 0; r < MAX_RANKS; r++)
		for (size_t i = 0; i < MAX_COUNT; i++)
			in[r][i] = unit_random(&seed);
	for (int n = 2; n <= MAX_RANKS; n++)
		for (size_t i = 0; i < COUNT(counts); i++)
			for (size_t s = counts[i] > 5000 ? 1 : 0; s < COUNT(slots); s++)
				for (int channels = 1; channels <= MAX_CHANNELS; channels += 3)
					check(n, counts[i], slots[s], channels);
}

static void large_operations_fill_the_pipe(void **state)
{
	struct ring_plan p;
	struct ring_cursor c;

	(void)state;
	ring_plan_make(&p, 4, 64 << 20, 4, 512 << 10, 2, 1);
	ring_cursor_init(&p, &c);
	assert_int_equal(p.offset, 32 << 20);
	assert_int_equal(p.count, 32 << 20);
	assert_int_equal(c.slices, RING_SLOTS);
	assert_int_equal(c.slice * 4, 512 << 10);
}

static void small_operations_use_one_channel_and_one_message(void **state)
{
	struct ring_plan p;
	struct ring_cursor c;

	(void)state;
	ring_plan_make(&p, 2, 1000, 4, 512 << 10, 2, 0);
	ring_cursor_init(&p, &c);
	assert_int_equal(p.count, 1000);
	assert_int_equal(c.slices, 1);
	assert_int_equal(ring_plan_messages(&p), 2);
	ring_plan_make(&p, 2, 1000, 4, 512 << 10, 2, 1);
	assert_int_equal(p.count, 0);
	assert_int_equal(ring_plan_messages(&p), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plays_an_all_reduce),
		cmocka_unit_test(large_operations_fill_the_pipe),
		cmocka_unit_test(small_operations_use_one_channel_and_one_message),
	};

	return unit_run("bench/plan", tests);
}
