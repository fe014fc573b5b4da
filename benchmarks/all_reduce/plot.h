/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --plot: bus bandwidth over size as SVG. The axis of the sizes is logarithmic. Each type, operation and root has a colour;
 * lines are solid out of place and dashed in place. Rank 0 only.
 */
#ifndef WEFT_ALL_REDUCE_PLOT_H
#define WEFT_ALL_REDUCE_PLOT_H

#include "result.h"
#include "settings.h"

struct plot;

/* Creates the file s->plot, see new_file. Returns NULL if it cannot be written; the run continues without. */
struct plot *plot_open(const struct settings *s, const char *program, int nranks);

/* Accepts NULL. Rows without a size are left out. */
void plot_add_row(struct plot *p, const struct row *row);

/* Draws, writes and frees. Accepts NULL. */
void plot_close(struct plot *p);

#endif
