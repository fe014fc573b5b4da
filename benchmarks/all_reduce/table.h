/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nccl-tests' text output, column for column. Rank 0 only. Every function writes to `f` at once, so
 * that a failure leaves the partial row in front of it.
 */
#ifndef WEFT_ALL_REDUCE_TABLE_H
#define WEFT_ALL_REDUCE_TABLE_H

#include "result.h"
#include "settings.h"

#include <stdio.h>

/*
 * A number in `width` characters: with the first of 2, 1 and no decimals that fits, else with an
 * exponent. Returns buf, which has at least 16 bytes.
 */
char *table_number(double v, int width, char *buf);

/* The lines before the column heads. `note`: lines of our own, each "# ...\n", or "". */
void table_preamble(FILE *f, const char *program, const struct settings *s, const char *note,
		    const struct rank_info *ranks, int nranks);
void table_head(FILE *f, const struct settings *s);

/* A row in three steps: columns 1 to 5, then each placement, then the end of the line. */
void table_row_begin(FILE *f, const struct row *row);
void table_row_place(FILE *f, const struct settings *s, const struct placement *p);
void table_row_end(FILE *f, const struct settings *s);

/* `error`: what failed, or NULL. */
void table_footer(FILE *f, const char *program, const struct totals *t, const char *error);

/* Local time as YYYY-MM-DD HH:MM:SS. Returns buf, which has at least 20 bytes. */
char *table_time(char *buf);

#endif
