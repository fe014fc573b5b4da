/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of stats. */
#ifndef WEFT_STATS_INTERNAL_H
#define WEFT_STATS_INTERNAL_H

#include <stdbool.h>

#include "conf/conf.h"
#include "weft/stats.h"

/*
 * Opens the directory of records, which is made if it is the default one. Returns its descriptor, or a negative errno with
 * a clause in `why`. `path` gets its path.
 */
int stats_place_open(const struct conf *conf, char *path, size_t path_bytes, char *why, size_t why_bytes);

/*
 * Is the file of a mapping locked although its descriptor is closed? The mapping keeps the open file and with it the
 * lock, until the process ends or, a forked child, drops the mapping. Some file systems do otherwise.
 */
bool stats_place_locked(int dir, const char *name);

/* Removes records of processes that are gone: those that ended by themselves, and old or many of those that did not. */
void stats_place_clean(int dir, const struct weft_stats_head *self);

/* Fills the process's part of the head. */
void stats_process_fill(struct weft_stats_head *head);

#endif
