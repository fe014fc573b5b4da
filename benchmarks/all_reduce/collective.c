/* SPDX-License-Identifier: Apache-2.0 */
#include "collective.h"

enum { SHARE_BYTES = 16 };

const struct collective_facts collective_facts[COLLECTIVES] = {
	[ALL_REDUCE] = {.what = "an all-reduce", .reduces = true},
	[ALL_GATHER] = {.what = "an all-gather", .per_rank = true},
	[REDUCE_SCATTER] = {.what = "a reduce-scatter", .reduces = true, .per_rank = true},
	[ALL_TO_ALL] = {.what = "an all-to-all", .per_rank = true, .exchanges = true, .unverified_in_place = true},
	[SEND_RECV] = {.what = "a send and receive", .exchanges = true, .unverified_in_place = true},
	[BROADCAST] = {.what = "a broadcast", .rooted = true},
	[REDUCE] = {.what = "a reduce", .reduces = true, .rooted = true, .root_only = true},
	[GATHER] = {.what = "a gather", .rooted = true, .per_rank = true, .exchanges = true, .root_only = true},
	[SCATTER] = {.what = "a scatter", .rooted = true, .per_rank = true, .exchanges = true},
	[ALL_TO_ALL_V] = {.what = "an all-to-all of unequal shares",
			  .per_rank = true,
			  .exchanges = true,
			  .unverified_in_place = true},
	[HYPERCUBE] = {.what = "a hypercube", .per_rank = true, .exchanges = true},
};

int64_t collective_count(enum collective c, int nranks, size_t elem_bytes, int64_t bytes)
{
	int64_t elem = (int64_t)elem_bytes, align = SHARE_BYTES / elem;

	if (!collective_facts[c].per_rank)
		return bytes / elem;
	return bytes / elem / nranks / align * align;
}

int64_t collective_send_count(enum collective c, int nranks, int64_t count)
{
	return c == REDUCE_SCATTER || c == ALL_TO_ALL || c == SCATTER ? count * nranks : count;
}

int64_t collective_recv_count(enum collective c, int nranks, int64_t count)
{
	return c == ALL_GATHER || c == ALL_TO_ALL || c == GATHER || c == HYPERCUBE ? count * nranks : count;
}

double collective_moved_bytes(enum collective c, int nranks, int64_t bytes)
{
	return c == HYPERCUBE ? (double)bytes / nranks * (nranks - 1) : (double)bytes;
}

double collective_bus_factor(enum collective c, int nranks)
{
	double others = (double)(nranks - 1) / nranks;

	if (c == ALL_REDUCE)
		return 2 * others;
	return collective_facts[c].per_rank && c != HYPERCUBE ? others : 1;
}
