/* SPDX-License-Identifier: Apache-2.0 */
/* For show.c: the rails in the table and in the JSON. */
#ifndef WEFT_MATRIX_SHOW_RAILS_H
#define WEFT_MATRIX_SHOW_RAILS_H

#include <jansson.h>

#include "show.h"

/* The NICs, below the ranks. */
void show_rails_head(FILE *out, const struct matrix *m);

/* Ends the line of an outlier, and names the rails that make it one. */
void show_rails_of(FILE *out, const struct report *r, const struct outlier *o);

/* Lines of slow rails that no outlier's line names, and of ranks whose NICs are unknown. */
void show_rails_slow(FILE *out, const struct report *r);

json_t *outlier_json(const struct matrix *m, const struct outlier *o);
json_t *slow_rails_json(const struct report *r);

/* To all entries: the ranks' NICs. To the last entry, a pair: its rails. */
void json_add_nics(json_t *ranks, const struct matrix *m);
void json_add_rails(json_t *pairs, const struct matrix *m, int from, int to);

#endif
