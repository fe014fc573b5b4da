/* SPDX-License-Identifier: Apache-2.0 */
#include "collective.h"

enum { SHARE_BYTES = 16 };

const struct collective_facts collective_facts[COLLECTIVES] = {
	[ALL_REDUCE] = {.program = "all_reduce_perf", .what = "an all-reduce", .reduces = true},
	[ALL_GATHER] = {.program = "all_gather_perf", .what = "an all-gather", .per_rank = true},
	[REDUCE_SCATTER] = {.program = "reduce_scatter_perf",
			    .what = "a reduce-scatter",
			    .reduces = true,
			    .per_rank = true},
	[ALL_TO_ALL] = {.program = "alltoall_perf",
			.what = "an all-to-all",
			.per_rank = true,
			.unverified_in_place = true},
	[SEND_RECV] = {.program = "sendrecv_perf", .what = "a send and receive", .unverified_in_place = true},
	[BROADCAST] = {.program = "broadcast_perf", .what = "a broadcast", .rooted = true},
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
	return c == REDUCE_SCATTER || c == ALL_TO_ALL ? count * nranks : count;
}

int64_t collective_recv_count(enum collective c, int nranks, int64_t count)
{
	return c == ALL_GATHER || c == ALL_TO_ALL ? count * nranks : count;
}

double collective_bus_factor(enum collective c, int nranks)
{
	double others = (double)(nranks - 1) / nranks;

	if (c == ALL_REDUCE)
		return 2 * others;
	return collective_facts[c].per_rank ? others : 1;
}
