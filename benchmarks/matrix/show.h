/* SPDX-License-Identifier: Apache-2.0 */
/* Reports a matrix: as a table, JSON, CSV, and a heat map. */
#ifndef WEFT_MATRIX_SHOW_H
#define WEFT_MATRIX_SHOW_H

#include <stdio.h>

#include "matrix.h"
#include "rails.h"
#include "want.h"

struct report {
	const struct want *want;
	const struct matrix *matrix;
	const struct outlier *outliers;
	int noutliers;
	const struct slow_rail *slow;
	int nslow;
	int status; /* exit status */
};

/* Of each pair: `value`, or x if it has none. */
void show_matrix(FILE *out, const struct matrix *m, const char *unit, double (*value)(const struct cell *c));

/* Lines that begin with # are not rows. */
void show_table(FILE *out, const struct report *r);

/* Each writes to the file `path`: 0, or -1 after a message. */
int show_json(const char *path, const struct report *r);
int show_csv(const char *path, const struct report *r);
int show_svg(const char *path, const struct report *r);

#endif
