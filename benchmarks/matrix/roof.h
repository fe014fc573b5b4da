/* SPDX-License-Identifier: Apache-2.0 */
/* --roof: the pairs of a matrix against raw libfabric between the same ranks. Pure functions. */
#ifndef WEFT_MATRIX_ROOF_H
#define WEFT_MATRIX_ROOF_H

#include "matrix.h"

/* One direction of a pair. */
struct roof_pair {
	int from, to;
	double ratio;
};

struct roof_sum {
	int pairs;     /* directions that both were measured in */
	int below;     /* of them, below ROOF_FINE */
	double lowest; /* ratio; 0: none */
};

/* The bandwidth divided by that of raw libfabric; 0: one of them is not known. */
double roof_ratio(const struct cell *c);

struct roof_sum roof_sum(const struct matrix *m);

/* Those below ROOF_FINE, the lowest first, in *out, which the caller frees. Returns their number; 0 without memory, too. */
int roof_below(const struct matrix *m, struct roof_pair **out);

#endif
