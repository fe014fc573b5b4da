/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pairs of a matrix against what they could reach: raw libfabric between the same ranks (--roof), or what the NICs allow
 * (expect.h). Pure functions.
 */
#ifndef WEFT_MATRIX_ROOF_H
#define WEFT_MATRIX_ROOF_H

#include "matrix.h"

/* One direction of a pair. */
struct roof_pair {
	int from, to;
	double ratio;
};

/* A pair's part of what it could reach; 0: not known. */
typedef double roof_part(const struct cell *c);

struct roof_sum {
	int pairs;     /* directions of which it is known */
	int below;     /* of them, below ROOF_FINE */
	double lowest; /* ratio; 0: none */
};

/* The bandwidth divided by that of raw libfabric; 0: one of them is not known. */
double roof_ratio(const struct cell *c);

struct roof_sum roof_sum(const struct matrix *m, roof_part *part);

/* Those below ROOF_FINE, the lowest first, in *out, which the caller frees. Returns their number; 0 without memory, too. */
int roof_below(const struct matrix *m, roof_part *part, struct roof_pair **out);

#endif
