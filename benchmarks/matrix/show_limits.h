/* SPDX-License-Identifier: Apache-2.0 */
/* For show.c: what the pairs could reach, by their NICs and by raw libfabric, in the table, the JSON and the CSV. */
#ifndef WEFT_MATRIX_SHOW_LIMITS_H
#define WEFT_MATRIX_SHOW_LIMITS_H

#include <jansson.h>

#include "show.h"

/* hint: name --roof, which was not used. */
void show_expected(FILE *out, const struct matrix *m, bool hint);
void show_roof(FILE *out, const struct matrix *m);

json_t *expected_json(const struct matrix *m);
json_t *roof_json(const struct matrix *m);

/* To a pair. */
void json_add_expected(json_t *pair, const struct cell *c);
void json_add_roof(json_t *pair, const struct cell *c);

/* Columns of a row; the expected ones are its last. */
void csv_expected(FILE *out, const struct cell *c);
void csv_roof(FILE *out, const struct cell *c);

#endif
