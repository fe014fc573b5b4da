/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The JSON copy (-J): nccl-tests' keys with real types: booleans are booleans, what is not finite
 * or not known is null, the environment is limited to what concerns the network, all ranks are
 * listed. Rank 0 only.
 */
#ifndef WEFT_ALL_REDUCE_JSON_H
#define WEFT_ALL_REDUCE_JSON_H

#include "result.h"
#include "settings.h"

struct json_report;

/*
 * Creates the file: s->json, or with .0, .1, ... behind it if that exists. NULL after one line on
 * stdout if it cannot be written: the run goes on without. `plugin` is the file's path, `abi`
 * the version of its interface.
 */
struct json_report *json_open(const struct settings *s, int argc, char **argv, const char *plugin,
			      int abi, const struct rank_info *ranks, int nranks);

/* Accepts NULL. */
void json_add_row(struct json_report *j, const struct settings *s, const struct row *row);

/* Writes and frees. `error`: what failed, or NULL. Accepts NULL. */
void json_close(struct json_report *j, const struct totals *t, const char *error);

#endif
