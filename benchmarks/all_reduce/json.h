/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON report (-J): nccl-tests' keys with proper types. Booleans are booleans; infinite and unknown values are null.
 * The environment contains only variables that concern the network or NCCL. All ranks are listed. Rank 0 only.
 */
#ifndef WEFT_ALL_REDUCE_JSON_H
#define WEFT_ALL_REDUCE_JSON_H

#include "report.h"

#include <jansson.h>

struct json_report;

/* Creates the file s->json, see new_file. Returns NULL if it cannot be written; the run continues without a report. */
struct json_report *json_open(const struct settings *s, const struct report_head *head);

/* Accepts NULL. */
void json_add_row(struct json_report *j, const struct settings *s, const struct row *row);

/* Adds a part of its own under this key, and takes ownership of it. Accepts NULL. */
void json_add(struct json_report *j, const char *key, json_t *value);

/* Writes and frees the report. `error`: the description of a failure, or NULL. Accepts NULL. */
void json_close(struct json_report *j, const struct totals *t, const char *error);

#endif
