/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data whose reduction is known exactly. The contribution of rank r at index i, and the result, depend only on (seed, i,
 * r, number of ranks); no rank needs the data of another one, and the result does not depend on the order of the
 * reduction:
 *
 *	integers          hashed bits, reduced in wrap-around arithmetic; products of odd numbers only
 *	float sum         whole numbers of one unit per element, so few that every partial sum is exact
 *	float product     powers of two of either sign within the range of the exponent, times the significand of one rank
 *	float min, max    hashed values, neither NaN nor infinity
 *	float average     two ranks contribute values of one sign, the others contribute zero
 *	no reduction      hashed values, as for min and max
 *
 * A chunk that is stale, swapped, shifted, doubled or missing gives other bits. Elements are compared bit by bit; only a
 * float average may differ by 2 units in the last place, because 1/n is not exact and the engine may multiply by it
 * before or after adding.
 *
 * Pure functions.
 */
#ifndef WEFT_BENCH_VERIFY_H
#define WEFT_BENCH_VERIFY_H

#include "types.h"

struct verify_case {
	enum elem_type type;
	enum redop op;
	uint64_t seed;
	int nranks;
	size_t first; /* index of element 0 of the filled or expected data; the start of a share */
};

/* Fills in elements 0 to count - 1 of the contribution of `rank`. */
void verify_fill(const struct verify_case *c, int rank, void *data, size_t count);

/* Fills in the result of the reduction. Without a reduction, the result is verify_fill's data of the source rank. */
void verify_expect(const struct verify_case *c, void *data, size_t count);

/* Makes every element differ from its expected value, so that elements which are never written are detected. */
void verify_poison(const struct verify_case *c, void *data, const void *expected, size_t count);

/* Number of wrong elements. */
int64_t verify_compare(const struct verify_case *c, const void *data, const void *expected, size_t count);

#endif
