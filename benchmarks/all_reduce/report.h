/* SPDX-License-Identifier: Apache-2.0 */
/* The results in files, as far as they are requested: JSON or CSV (-J), and a plot. Rank 0 only. */
#ifndef WEFT_ALL_REDUCE_REPORT_H
#define WEFT_ALL_REDUCE_REPORT_H

#include "result.h"
#include "settings.h"

#include <jansson.h>

struct report;

/* Who ran what, for the head of a report. */
struct report_head {
	int argc;
	char **argv;
	const char *program, *plugin; /* plugin: its path, or "" */
	int abi;		      /* the version of its interface */
	const struct rank_info *ranks;
	int nranks;
};

/* Creates the files. What cannot be created is left out with a line on stdout. NULL only if memory is missing. */
struct report *report_open(const struct settings *s, const struct report_head *head);

/* Accept NULL. report_add: for the JSON; `value` is taken over. */
void report_add_row(struct report *r, const struct row *row);
void report_add(struct report *r, const char *key, json_t *value);

/* Writes and frees. `error`: the description of a failure, or NULL. Accepts NULL. */
void report_close(struct report *r, const struct totals *t, const char *error);

#endif
