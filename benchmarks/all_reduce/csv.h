/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CSV report (-J NAME.csv): a line of names, then a line for each row of the table, written at once. A field without a
 * value is empty. Rank 0 only.
 */
#ifndef WEFT_ALL_REDUCE_CSV_H
#define WEFT_ALL_REDUCE_CSV_H

#include "result.h"
#include "settings.h"

struct csv_report;

/* Creates the file s->csv, see new_file. Returns NULL if it cannot be written; the run continues without a report. */
struct csv_report *csv_open(const struct settings *s);

/* Both accept NULL. */
void csv_add_row(struct csv_report *c, const struct row *row);
void csv_close(struct csv_report *c);

#endif
