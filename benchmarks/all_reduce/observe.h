/* SPDX-License-Identifier: Apache-2.0 */
/*
 * --observe: what the records of the ranks' processes (include/weft/stats.h) say at the end of a run: rails, peers, and
 * verdicts, as weft-top shows them.
 */
#ifndef WEFT_ALL_REDUCE_OBSERVE_H
#define WEFT_ALL_REDUCE_OBSERVE_H

#include "oob.h"

#include <jansson.h>

/*
 * Collective: every rank reads its own record. Rank 0 prints all of them after the table, and gets them in *out_json, an
 * array that it owns, in rank order: an entry of weft-top's "processes", or null for a rank without a record. Other ranks
 * get NULL. 0, or -EPIPE: a rank has failed.
 */
int observe_ranks(struct oob *oob, json_t **out_json);

#endif
