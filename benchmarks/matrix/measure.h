/* SPDX-License-Identifier: Apache-2.0 */
/* Measures all pairs of ranks. */
#ifndef WEFT_MATRIX_MEASURE_H
#define WEFT_MATRIX_MEASURE_H

#include "matrix.h"
#include "net_perf/far.h"
#include "want.h"

/*
 * Every rank calls it, after far_meet; every rank gets the whole matrix, whose memory the caller frees. A pair that fails is
 * in the matrix, after messages. 0, or -1 after a message if a rank is lost.
 */
int measure_all(const struct want *w, struct far *f, struct matrix *out);

#endif
