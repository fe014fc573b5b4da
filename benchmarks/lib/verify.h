/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Data whose reduction is known exactly. What rank r contributes at index i, and the result, follow
 * from (seed, i, r, number of ranks) alone; no rank needs another one's data, and the result does
 *not depend on the order of the reduction:
 *
 *	integers          hashed bits, reduced in wrap-around arithmetic; products of odd numbers
 *only float sum         whole numbers of one unit per element, so few that every partial sum is
 *exact float product     powers of two of either sign within the exponent's range, times one rank's
 *			  significand
 *	float min, max    hashed values, no NaN and no infinity
 *	float average     two ranks contribute, of one sign, the others zero
 *	no reduction      hashed values, as for min and max
 *
 * A chunk that is stale, swapped, shifted, doubled or missing gives other bits. Comparison is of
 *bits, except that a float average may be 2 units in the last place off: 1/n is not exact, and
 *whether it is multiplied before or after adding is up to the engine.
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
	size_t first; /* index of element 0 of what is filled or expected: a share begins there */
};

/* What `rank` contributes, elements 0 to count - 1. */
void verify_fill(const struct verify_case *c, int rank, void *data, size_t count);

/* The result of the reduction. Without one, what verify_fill gives for the rank that it comes from. */
void verify_expect(const struct verify_case *c, void *data, size_t count);

/* Makes every element wrong, given what it should be: what nobody writes to does not pass. */
void verify_poison(const struct verify_case *c, void *data, const void *expected, size_t count);

/* Number of wrong elements. */
int64_t verify_compare(const struct verify_case *c, const void *data, const void *expected,
		       size_t count);

#endif
