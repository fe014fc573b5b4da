/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collectives that consist of sends and receives between pairs of ranks: which rank sends what to which. The engines perform
 * it, and the expected results follow from it. A hypercube takes several steps, all others take one. Pure functions.
 *
 *	send and receive   from each rank to the next one
 *	all-to-all         a share for each rank, from each rank
 *	gather, scatter    each rank's share to the root, and from it
 *	unequal shares     as traffic.h says
 *	hypercube          an all-gather: in step k, ranks that differ in bit k exchange the 2^k shares that they have
 */
#ifndef WEFT_ALL_REDUCE_EXCHANGE_H
#define WEFT_ALL_REDUCE_EXCHANGE_H

#include "collective.h"
#include "traffic.h"

struct exchange {
	enum collective what;
	int nranks, root;
	size_t count, elem_bytes; /* count: the argument of the collective */
	const struct traffic *traffic;
	int step;
};

/* What one rank sends to another one, in elements: `in` is its place in the sender's input, `out` in the receiver's output. */
struct part {
	size_t count, in, out;
};

/* At least 1. The ranks of a hypercube are a power of two. */
int exchange_steps(enum collective what, int nranks);

/* Steps after the first one read their input from the output. from = to: data that stays where it is. count may be 0. */
struct part exchange_part(const struct exchange *x, int from, int to);

/* Number of elements of all parts that this rank sends, and receives. Only for exchanges of one step. */
size_t exchange_sends(const struct exchange *x, int rank);
size_t exchange_receives(const struct exchange *x, int rank);

/* The largest number of elements that a rank sends or receives. */
size_t exchange_largest(const struct exchange *x);

/* Whether any rank ever sends to the one that is this distance ahead. */
bool exchange_links(enum collective what, int nranks, int distance);

#endif
