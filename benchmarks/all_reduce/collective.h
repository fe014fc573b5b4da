/* SPDX-License-Identifier: Apache-2.0 */
/* The measured collectives, with nccl-tests' conventions for counts, sizes and bandwidths. Pure functions. */
#ifndef WEFT_ALL_REDUCE_COLLECTIVE_H
#define WEFT_ALL_REDUCE_COLLECTIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum collective {
	ALL_REDUCE,
	ALL_GATHER,
	REDUCE_SCATTER,
	ALL_TO_ALL,
	SEND_RECV,
	BROADCAST,
	REDUCE,
	GATHER,
	SCATTER,
	ALL_TO_ALL_V,
	HYPERCUBE,
	COLLECTIVES
};

struct collective_facts {
	const char *what;	  /* name with its article, for messages: "an all-reduce" */
	bool reduces;		  /* takes a reduction operation */
	bool rooted;		  /* takes a root rank */
	bool per_rank;		  /* the count is the share of one rank; a size holds the shares of all ranks */
	bool exchanges;		  /* consists of sends and receives between pairs of ranks, see exchange.h */
	bool root_only;		  /* only the root has a result */
	bool unverified_in_place; /* nccl-tests runs it in place, but has no expected result for that */
};

extern const struct collective_facts collective_facts[COLLECTIVES];

/* The count for a row of at most `bytes`, rounded down to whole elements; shares are multiples of 16 bytes. */
int64_t collective_count(enum collective c, int nranks, size_t elem_bytes, int64_t bytes);

/*
 * Number of elements in the send and receive buffers of a rank for this count. Those of ALL_TO_ALL_V differ from rank to
 * rank: exchange_sends and exchange_receives.
 */
int64_t collective_send_count(enum collective c, int nranks, int64_t count);
int64_t collective_recv_count(enum collective c, int nranks, int64_t count);

/* The bytes that count in algbw, for a row of this size: a hypercube leaves out what a rank has already. */
double collective_moved_bytes(enum collective c, int nranks, int64_t bytes);

/* The ratio busbw / algbw. */
double collective_bus_factor(enum collective c, int nranks);

#endif
