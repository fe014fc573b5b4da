/* SPDX-License-Identifier: Apache-2.0 */
#include "exchange.h"

static bool is_power_of_two(int n)
{
	return n > 0 && !(n & (n - 1));
}

int exchange_steps(enum collective what, int nranks)
{
	int steps = 1;

	while (what == HYPERCUBE && 1 << steps < nranks)
		steps++;
	return steps;
}

/* Only the first step has data that stays on a rank. */
static bool hypercube_sends(const struct exchange *x, int from, int to)
{
	int peer = from ^ 1 << x->step;

	return peer < x->nranks && to == peer ? true : x->step == 0 && from == to;
}

/* The number of elements that `from` sends to `to`. */
static size_t count_of(const struct exchange *x, int from, int to)
{
	switch (x->what) {
	case SEND_RECV: return to == (from + 1) % x->nranks ? x->count : 0;
	case GATHER: return to == x->root ? x->count : 0;
	case SCATTER: return from == x->root ? x->count : 0;
	case HYPERCUBE: return !hypercube_sends(x, from, to) ? 0 : x->count << (from == to ? 0 : x->step);
	case ALL_TO_ALL_V:
		return (size_t)traffic_bytes(x->traffic, x->nranks, from, to, x->count * x->elem_bytes) / x->elem_bytes;
	default: return x->count;
	}
}

struct part exchange_part(const struct exchange *x, int from, int to)
{
	struct part p = {.count = count_of(x, from, to)};

	if (x->what == ALL_TO_ALL || x->what == SCATTER)
		p.in = (size_t)to * x->count;
	if (x->what == ALL_TO_ALL || x->what == GATHER)
		p.out = (size_t)from * x->count;
	if (x->what == HYPERCUBE) {
		p.out = (size_t)(from & ~((1 << x->step) - 1)) * x->count;
		p.in = x->step ? p.out : 0;
	}
	for (int r = 0; x->what == ALL_TO_ALL_V && r < to; r++)
		p.in += count_of(x, from, r);
	for (int r = 0; x->what == ALL_TO_ALL_V && r < from; r++)
		p.out += count_of(x, r, to);
	return p;
}

size_t exchange_sends(const struct exchange *x, int rank)
{
	size_t sum = 0;

	for (int r = 0; r < x->nranks; r++)
		sum += count_of(x, rank, r);
	return sum;
}

size_t exchange_receives(const struct exchange *x, int rank)
{
	size_t sum = 0;

	for (int r = 0; r < x->nranks; r++)
		sum += count_of(x, r, rank);
	return sum;
}

size_t exchange_largest(const struct exchange *x)
{
	size_t largest = 0;

	for (int r = 0; r < x->nranks; r++) {
		size_t sends = exchange_sends(x, r), receives = exchange_receives(x, r);

		largest = sends > largest ? sends : largest;
		largest = receives > largest ? receives : largest;
	}
	return largest;
}

bool exchange_links(enum collective what, int nranks, int distance)
{
	if (what == HYPERCUBE)
		return is_power_of_two(distance) || is_power_of_two(nranks - distance);
	return what == SEND_RECV ? distance == 1 : true;
}
