/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the NICs allow each pair: the sum of the NICs' speeds at the end that has less. A NIC that several pairs use at the same
 * time counts for each of them with its part. Pure functions.
 */
#ifndef WEFT_MATRIX_EXPECT_H
#define WEFT_MATRIX_EXPECT_H

#include "matrix.h"

struct expect_plan {
	bool alone;  /* one pair at a time, as in plan.h */
	bool duplex; /* both directions of a pair at once */
};

/* Fills in `expected` of all pairs, and of those of the rails. 0, or -1: no memory. */
int expect_fill(struct matrix *m, struct expect_plan plan);

/* The bandwidth divided by the expected one; 0: one of them is not known. */
double expect_ratio(const struct cell *c);

/* The NICs of a rank and their speeds, or why they are not known. Returns text. */
char *expect_nics(const struct who *w, char *text, size_t bytes);

/* Is the pair on one host, whose messages pass its NICs by? */
bool expect_passes_by(const struct matrix *m, int from, int to);

#endif
