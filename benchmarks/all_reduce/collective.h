/* SPDX-License-Identifier: Apache-2.0 */
/* The collectives that are measured: nccl-tests' conventions for counts, sizes and bandwidths. Pure functions. */
#ifndef WEFT_ALL_REDUCE_COLLECTIVE_H
#define WEFT_ALL_REDUCE_COLLECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum collective { ALL_REDUCE, ALL_GATHER, REDUCE_SCATTER, ALL_TO_ALL, SEND_RECV, BROADCAST, COLLECTIVES };

struct collective_facts {
	const char *program; /* "all_reduce_perf" */
	const char *what;    /* "an all-reduce" */
	bool reduces;        /* has an operation */
	bool rooted;
	bool per_rank;      /* the count is one rank's share, and a size holds n of them */
	bool unverified_in_place; /* nccl-tests runs it in place, but there is nothing to expect */
};

extern const struct collective_facts collective_facts[COLLECTIVES];

/* The count for a row of at most `bytes`: whole elements, and shares in multiples of 16 bytes. */
int64_t collective_count(enum collective c, int nranks, size_t elem_bytes, int64_t bytes);

/* Elements in a rank's send and receive buffers for this count. */
int64_t collective_send_count(enum collective c, int nranks, int64_t count);
int64_t collective_recv_count(enum collective c, int nranks, int64_t count);

/* What busbw is of algbw. */
double collective_bus_factor(enum collective c, int nranks);

#endif
