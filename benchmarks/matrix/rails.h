/* SPDX-License-Identifier: Apache-2.0 */
/* --rails: what is odd about the rails of a matrix. Pure functions. */
#ifndef WEFT_MATRIX_RAILS_H
#define WEFT_MATRIX_RAILS_H

#include "matrix.h"

/*
 * A slow rail. Of the pairs of an outlier, which are compared with the other pairs over the same rail; or `all`: of all pairs,
 * and then the ratio compares it with the other rails.
 */
struct slow_rail {
	int rail;
	bool all;
	struct outlier of;
};

/* Like matrix_outliers; but two ranks are enough to find a rail that is slow for all. */
int rails_slow(const struct matrix *m, double least, struct slow_rail **out);

/* "rail 3 of hosta (NIC x)", "rail 3 (NIC x to y)" of a single pair, "rail 3 of all (NIC x)". Returns text. */
char *rails_name(const struct matrix *m, const struct slow_rail *s, char *text, size_t bytes);

/* Is the rail slow for the same rank, host or pair that the outlier names? */
bool rails_explains(const struct slow_rail *s, const struct outlier *o);

/* The first rank that has NICs without a known name, or -1. */
int rails_unknown(const struct matrix *m);

#endif
