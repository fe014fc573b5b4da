/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nccl-tests' text output, with the same columns. Rank 0 only. Every function flushes its output to `f`, so a failure
 * message follows the partial row.
 */
#ifndef WEFT_ALL_REDUCE_TABLE_H
#define WEFT_ALL_REDUCE_TABLE_H

#include "result.h"
#include "settings.h"

#include <stdio.h>

/*
 * Formats a number in `width` characters, with the first of 2, 1 and no decimals that fits, else with an exponent. Returns
 * buf, which has at least 16 bytes.
 */
char *table_number(double v, int width, char *buf);

/* Prints the lines before the column heads. `note`: additional lines, each "# ...\n", or "". */
void table_preamble(FILE *f, const char *program, const struct settings *s, const char *note,
		    const struct rank_info *ranks, int nranks);
void table_head(FILE *f, const struct settings *s);

/* Print a row in three steps: columns 1 to 5, then each placement, then the end of the line. */
void table_row_begin(FILE *f, const struct row *row);
void table_row_place(FILE *f, const struct settings *s, const struct placement *p);
void table_row_end(FILE *f, const struct settings *s, const struct row *row);

/* Prints what a rank sends and receives in `time_us`, behind its row; factor: busbw / algbw. */
void table_traffic(FILE *f, int rank, int64_t send_bytes, int64_t recv_bytes, double time_us, double factor);

/* `error`: the description of a failure, or NULL. */
void table_footer(FILE *f, const char *program, const struct totals *t, const char *error);

/* Formats the local time as YYYY-MM-DD HH:MM:SS. Returns buf, which has at least 20 bytes. */
char *table_time(char *buf);

#endif
